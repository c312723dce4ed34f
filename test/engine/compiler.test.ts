import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import { parse } from '@bytecodealliance/jco'
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

test('components of a tenant that are made to take long delay those of another by less than all of them', async () => {
  // A pair of pairs of pairs: a few hundred bytes that become megabytes of glue.
  const levels = Array.from({ length: 11 }, (_, n) => `(type $t${n + 1} (tuple $t${n} $t${n}))`).join('\n')
  const hostile = await parse(`(component (type $t0 (tuple u32 u32)) ${levels} (type $l (list $t11))
    (core module $m (memory (export "memory") 1) (func (export "f") (param i32 i32))
      (func (export "r") (param i32 i32 i32 i32) (result i32) i32.const 0))
    (core instance $i (instantiate $m)) (alias core export $i "memory" (core memory $memory))
    (func (export "go") (param "s" $l) (canon lift (core func $i "f") (memory $memory) (realloc (core func $i "r")))))`)
  await using compiler = new Compiler()
  const ended: string[] = []
  const compile = async (tenant: string, bytes: Uint8Array) => {
    await Promise.allSettled([compiler.compile(job(bytes, undefined), { tenant })])
    ended.push(tenant)
  }
  await Promise.all([
    ...Array.from({ length: 3 }, () => compile('hostile', hostile)),
    compile('victim', one!),
    compile('third', other!),
  ])
  assert.equal(ended.length, 5)
  assert.equal(ended.at(-1), 'hostile', ended.join(' '))
})
