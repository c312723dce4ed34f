import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { compileComponent } from '../../src/engine/compile-job.ts'
import { readComponent } from '../../src/engine/component-binary.ts'
import { slimGlue } from '../../src/engine/slim-glue.ts'
import { transpileComponent } from '../../src/engine/transpile.ts'
import { wasiInterfaces, wasiWaits } from '../../src/wasi/wasi-interfaces.ts'
import { cellSpec, component, serve, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent, watComponent } from './guests/build-guest.ts'

const components = join(import.meta.dirname, '..', '..', 'components')

/** The components that are built in this checkout, and the test guest. */
const corpus: [name: string, bytes: () => Uint8Array | Promise<Uint8Array>][] = [
  ['the faults guest', faultsComponent],
  ...readdirSync(components)
    .map((name): [string, string] => [name, join(components, name, 'build', `${name}.wasm`)])
    .filter(([, file]) => existsSync(file))
    .map(([name, file]): [string, () => Uint8Array] => [name, () => readFileSync(file)]),
]

async function glueOf(bytes: Uint8Array): Promise<string> {
  return (await transpileComponent(bytes, { ...readComponent(bytes), waits: wasiWaits })).glue
}

describe('slim glue', () => {
  for (const [name, bytes] of corpus) {
    test(`is recognised for ${name}`, async () => {
      const glue = await glueOf(await bytes())
      const slim = slimGlue(glue)
      assert.ok(slim.slim, slim.slim ? '' : slim.reason)
      assert.ok(slim.source.length < glue.length / 2)
    })
  }

  test('is not attempted for a glue of another shape', async () => {
    const glue = await glueOf(await faultsComponent())
    const altered: [what: string, source: string][] = [
      ['another way to lower imports', glue.replaceAll('_lowerImportBackwardsCompat.bind', '_lowerAnother.bind')],
      ['an import that is async', glue.replaceAll('funcTypeIsAsync: false', 'funcTypeIsAsync: true')],
      ['another wrapper of calls', glue.replaceAll('fn: () =>', 'callee: () =>')],
      ['a task that is used elsewhere', glue.replaceAll('_withGlobalCurrentTaskMeta({', '_withAnotherTaskMeta({')],
      ['no generator', glue.replace('function* _initGenerator', 'function _initGenerator')],
      ['no instantiate', glue.replace('export function instantiate', 'export function another')],
      ['something that does not parse', `${glue}(`],
    ]
    for (const [what, source] of altered) {
      assert.notEqual(source, glue, what)
      const slim = slimGlue(source)
      assert.equal(slim.slim, false, what)
    }
  })

  test('gives way to the untouched output, and says so, for a component with async functions', async () => {
    const bytes = await watComponent(
      '(module (import "a:b/i" "use-it" (func (param i32))) (memory (export "memory") 1))',
      'package a:b; interface i { use-it: func(s: stream<u8>); } world w { import i; }',
      'w',
    )
    const job = { component: 'c', bytes, served: undefined, waits: [], memoryLimitMb: 1 }
    const { description } = await compileComponent(job)
    assert.equal(description.imports[0]?.name, 'a:b/i')
    assert.deepEqual(description.glue, {
      slim: false,
      reason: 'the component uses async functions, streams or futures',
    })
  })

  test('and untouched glue give the same answers', async () => {
    const bytes = await faultsComponent()
    const requests: [path: string, init?: RequestInit][] = [
      ['/hello'],
      ['/calls'],
      ['/trap'],
      ['/recurse'],
      ['/allocate'],
      ['/nothing'],
      ['/unfinished'],
      ['/too-short'],
      ['/exit'],
      ['/exclusive'],
      ['/big'],
      ['/echo', { method: 'POST', body: 'x'.repeat(300_000) }],
      ['/echo', { method: 'POST', body: '' }],
      ['/ünïcode?q=é'],
      ['/head', { method: 'HEAD' }],
    ]
    const observe = async (keepGlue: boolean) => {
      await using engine = testEngine({ keepGlue })
      const limits = { poolSize: 1, maxInvocations: 1, memoryLimitMb: 4 }
      const cell = await engine.startCell(cellSpec(component(bytes, limits)), { signal: signal() })
      assert.equal(cell.metrics().untouchedGlue, keepGlue ? 1 : 0)
      await using ingress = await serve(cell)
      const seen: unknown[] = []
      for (const [path, init] of requests) {
        const answer = await fetch(ingress.url + path, init)
        const body = await answer.arrayBuffer().catch((error: Error) => error.name)
        const headers = [...answer.headers].filter(([name]) => name !== 'date')
        const digest = typeof body === 'string' ? body : createHash('sha256').update(new Uint8Array(body)).digest('hex')
        seen.push([path, answer.status, headers, digest])
      }
      const { failures, traps } = cell.metrics()
      return { seen, failures, traps }
    }
    assert.deepEqual(await observe(false), await observe(true))
  })

  test('is what an ordinary component runs on', async () => {
    const bytes = await faultsComponent()
    const { description, script } = await compileComponent({
      component: 'c',
      bytes,
      served: wasiInterfaces,
      waits: wasiWaits,
      memoryLimitMb: 16,
    })
    assert.deepEqual(description.glue, { slim: true })
    assert.doesNotMatch(script, /createNewCurrentTask|_debugLog/)
  })
})
