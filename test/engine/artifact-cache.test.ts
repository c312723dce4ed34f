import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { type Artifact, ArtifactCache } from '../../src/engine/artifact-cache.ts'
import { cellSpec, component, serve, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent } from './guests/build-guest.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'herald-artifacts-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const artifact = (size = 10): Artifact => ({
  script: 'ünïcode()',
  glue: { slim: false, reason: 'a test' },
  modules: new Map([
    ['a.wasm', new Uint8Array(size).fill(1)],
    ['b.wasm', new Uint8Array([2, 3])],
  ]),
})
const entries = async () => (await readdir(directory)).map((name) => join(directory, name))

test('what was written is read, under its own key only', async () => {
  const cache = new ArtifactCache(directory)
  await cache.write('key', artifact())
  assert.deepEqual(await cache.read('key'), artifact())
  assert.equal(await cache.read('another key'), undefined)
})

test('a damaged entry, or one under a wrong name, is a miss and goes', async () => {
  const cache = new ArtifactCache(directory)
  await cache.write('key', artifact())
  const [file] = await entries()
  const content = await readFile(file!)
  content[content.length - 1]! ^= 1
  await writeFile(file!, content)
  assert.equal(await cache.read('key'), undefined)
  assert.deepEqual(await entries(), [])
  await cache.write('other', artifact())
  const [other] = await entries()
  await writeFile(file!, await readFile(other!))
  assert.equal(await cache.read('key'), undefined)
})

test('a directory that everybody may write to is not used', async () => {
  const cache = new ArtifactCache(directory)
  await cache.write('key', artifact())
  await chmod(directory, 0o777)
  assert.equal(await cache.read('key'), undefined)
})

test('the least recently used entries go when there is no more room', async () => {
  const cache = new ArtifactCache(directory, { maxBytes: 2500 })
  for (const key of ['one', 'two']) await cache.write(key, artifact(800))
  for (const file of await entries()) await utimes(file, new Date(0), new Date(0))
  assert.ok(await cache.read('one'))
  await cache.write('three', artifact(800))
  assert.ok(await cache.read('one'))
  assert.equal(await cache.read('two'), undefined)
  assert.ok(await cache.read('three'))
})

test('an engine starts a cell from its cache as it does without', async () => {
  const bytes = await faultsComponent()
  for (let round = 0; round < 2; round++) {
    await using engine = testEngine({ cacheDir: directory })
    const cell = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
    await using ingress = await serve(cell)
    assert.equal(await (await fetch(`${ingress.url}/hello`)).text(), '/hello')
    assert.equal((await entries()).length, 1)
  }
})
