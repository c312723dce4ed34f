import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { Compiler } from '../../src/engine/compiler.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { wasiInterfaces, wasiWaits } from '../../src/wasi/wasi-interfaces.ts'

const built = await buildComponents(['hello-c', 'hello-cli-c'])
const [one, other] = await Promise.all(['hello-c', 'hello-cli-c'].map((name) => readFile(built.get(name)!)))
const job = (bytes: Uint8Array, served: readonly string[] | undefined) => ({
  ...{ component: 'guest', bytes, served },
  waits: wasiWaits,
  memoryLimitMb: 64,
})
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

for (const [name, reason] of [
  ['an error of ours', new HeraldError('ERR_CELL_ENDED', 'the start was given up')],
  ['any other error', new Error('gone')],
] as const) {
  test(`a compile given up with ${name} is never taken for the next one's result`, async () => {
    await using compiler = new Compiler()
    await compiler.compile(job(one!, undefined))
    for (let round = 0; round < 5; round++) {
      const given = new AbortController()
      const lost = compiler.compile(job(one!, undefined), { signal: given.signal })
      setImmediate(() => given.abort(reason))
      await Promise.allSettled([lost])
      const { description, modules } = await compiler.compile(job(other!, wasiInterfaces))
      assert.equal(description.sha256, sha256(other!))
      assert.ok(modules.size > 0)
    }
  })
}

test('a component that is in use is not compiled again, whatever it is called', async () => {
  await using compiler = new Compiler()
  const first = await compiler.compile(job(one!, wasiInterfaces))
  const again = await compiler.compile({ ...job(one!.subarray(), wasiInterfaces), component: 'another' })
  assert.equal(again.modules, first.modules)
  assert.equal(again.script, first.script)
  const capped = await compiler.compile({ ...job(one!, wasiInterfaces), memoryLimitMb: 32 })
  assert.notEqual(capped.modules, first.modules)
  assert.notDeepEqual([...capped.memories.values()], [...first.memories.values()])
})

test('a quick look describes what a long one does, but for the glue', async () => {
  await using compiler = new Compiler()
  const { description: full } = await compiler.compile(job(one!, undefined))
  const { description: quick } = await compiler.compile({ ...job(one!, undefined), quick: true })
  assert.deepEqual(quick, { ...full, glue: { slim: false, reason: 'not looked at' } })
  assert.deepEqual(full.glue, { slim: true })
})
