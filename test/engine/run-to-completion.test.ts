import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { cellSpec, component, isolations, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent } from './guests/build-guest.ts'

for (const isolation of isolations)
  describe(`a wasi:cli/run component, its cell being a ${isolation}`, () => {
    let engine: Engine
    let bytes: Uint8Array
    before(async () => {
      engine = testEngine({ isolation })
      bytes = await faultsComponent()
    })
    after(() => engine[Symbol.asyncDispose]())
    const cellFor = (what: string) =>
      engine.startCell(cellSpec(component(bytes, {}, { args: [what] })), { signal: signal() })

    for (const [what, exitCode] of [
      ['fine', 0],
      ['error', 1],
      ['exit', 7],
    ] as const) {
      test(`that ends with "${what}" gives exit code ${exitCode}, and the process goes on`, async () => {
        await using cell = await cellFor(what)
        assert.deepEqual(await cell.run('guest', { signal: signal() }), { exitCode })
      })
    }

    test('that traps rejects with a code and leaves the cell serving', async () => {
      await using cell = await cellFor('trap')
      await assert.rejects(cell.run('guest', { signal: signal() }), (error) =>
        isHeraldError(error, 'ERR_COMPONENT_TRAP'),
      )
      assert.equal(cell.state.kind, 'serving')
    })

    test('can be cancelled while it waits', async () => {
      await using cell = await cellFor('sleep')
      const from = performance.now()
      await assert.rejects(cell.run('guest', { signal: AbortSignal.timeout(50) }))
      assert.ok(performance.now() - from < 2000)
    })

    test('writes lines, the last one also without its end', async () => {
      await using cell = await cellFor('fine')
      const lines: string[] = []
      cell.onOutput(({ component, stream, text }) => lines.push(`${component} ${stream} ${text}`))
      await cell.run('guest', { signal: signal() })
      for (const giveUp = performance.now() + 10_000; lines.length < 2 && performance.now() < giveUp; )
        await new Promise((resolve) => setTimeout(resolve, 5))
      assert.deepEqual(lines, ['guest stdout one line', 'guest stdout half a line'])
    })
  })
