import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CellBinding } from '../../src/capabilities/capability.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { cellSpec, component, isolations, signal, testEngine } from './engine-fixture.ts'
import { watComponent } from './guests/build-guest.ts'

const wit = `package test:guest;
package test:cap { interface calls {
  plain: func() -> u32;
  pushed: func() -> u32;
  ask: func(method: string) -> result<string, string>;
  number: func() -> u32;
  fail: func() -> u32;
} }
package wasi:cli@0.2.0 { interface run { run: func() -> result; } }
world guest { import test:cap/calls; export wasi:cli/run@0.2.0; }`

/** A guest whose `run` is `body`, an expression that is 0 when all is well. */
function guest(body: string): Promise<Uint8Array> {
  return watComponent(
    `(module
      (import "test:cap/calls" "plain" (func $plain (result i32)))
      (import "test:cap/calls" "pushed" (func $pushed (result i32)))
      (import "test:cap/calls" "ask" (func $ask (param i32 i32 i32)))
      (import "test:cap/calls" "number" (func $number (result i32)))
      (import "test:cap/calls" "fail" (func $fail (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "echo" "refuse")
      (global $next (mut i32) (i32.const 1024))
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (global.get $next))
        (global.set $next (i32.add (global.get $next) (local.get 3)))
        (local.get $at))
      (func (export "wasi:cli/run@0.2.0#run") (result i32) ${body}))`,
    wit,
    'guest',
  )
}

type Handle = CellBinding['handle']

function binding(handle: Handle): CellBinding & { sent: ((message: unknown) => void)[]; released: number } {
  const sent: ((message: unknown) => void)[] = []
  const made = {
    cellModule: new URL('./capabilities/test-cell.ts', import.meta.url),
    config: { plain: 41 },
    handle,
    attach: (send: (message: unknown) => void) => void sent.push(send),
    release: () => {
      made.released += 1
    },
    sent,
    released: 0,
  }
  return made
}

const interfaces = {
  capabilityInterfaces: ['test:cap/calls'],
  capabilityWaits: ['ask', 'number', 'fail'].map((name) => `test:cap/calls#${name}`),
}

for (const { keepGlue, isolation } of [
  { keepGlue: false, isolation: 'thread' },
  { keepGlue: true, isolation: 'thread' },
  { keepGlue: false, isolation: 'process' },
] as const) {
  const glue = `${keepGlue ? "jco's untouched glue" : 'slim glue'}, its cell being a ${isolation}`

  test(`a guest calls its capability, at once and waiting (${glue})`, async () => {
    await using engine = testEngine({ keepGlue, isolation })
    const asked: unknown[] = []
    const bound = binding(async (method, payload) => {
      asked.push([method, payload])
      return method === 'number' ? 1 : 'yes'
    })
    const bytes = await guest(`
      (call $ask (i32.const 0) (i32.const 4) (i32.const 64))
      (i32.ne (i32.const 42) (i32.add (call $plain) (call $number)))
      (i32.or (i32.ne (i32.const 3) (i32.load (i32.const 72))))
      (i32.or (i32.load8_u (i32.const 64)))`)
    const cell = await engine.startCell(cellSpec(component(bytes, {}, { bindings: [bound], ...interfaces })), {
      signal: signal(),
    })
    assert.deepEqual(await cell.run('guest', { signal: signal() }), { exitCode: 0 })
    assert.deepEqual(asked, [
      ['echo', { from: 'guest' }],
      ['number', undefined],
    ])
    await cell.close()
    assert.equal(bound.released, 1)
  })

  test(`an import that rejects without a result ends the call instead of leaving it (${glue})`, async () => {
    await using engine = testEngine({ keepGlue, isolation })
    const bound = binding(async () => {
      throw Object.assign(new Error('not to be had'), { code: 'ERR_TEST', secret: 'kept here' })
    })
    const bytes = await guest('(call $fail)')
    const cell = await engine.startCell(cellSpec(component(bytes, {}, { bindings: [bound], ...interfaces })), {
      signal: signal(),
    })
    await assert.rejects(cell.run('guest', { signal: AbortSignal.timeout(1000) }))
    assert.equal(cell.state.kind, 'serving')
  })
}

for (const isolation of isolations)
  test(`a message of the control thread reaches the cell, also one sent before it was ready (its cell being a ${isolation})`, async () => {
    await using engine = testEngine({ isolation })
    const bound = binding(async () => 0)
    const bytes = await guest('(i32.ne (i32.const 7) (call $pushed))')
    const cell = await engine.startCell(cellSpec(component(bytes, {}, { bindings: [bound], ...interfaces })), {
      signal: signal(),
    })
    assert.equal(bound.sent.length, 1)
    assert.deepEqual(await cell.run('guest', { signal: signal() }), { exitCode: 1 })
    bound.sent[0]!(7)
    assert.deepEqual(await cell.run('guest', { signal: signal() }), { exitCode: 0 })
  })

for (const isolation of isolations)
  test(`cancelling a call aborts what it waits for on the control thread (its cell being a ${isolation})`, async () => {
    await using engine = testEngine({ isolation })
    const aborted = Promise.withResolvers<unknown>()
    const entered = Promise.withResolvers<void>()
    const bound = binding((_method, _payload, { signal }) => {
      entered.resolve()
      signal.addEventListener('abort', () => aborted.resolve(signal.reason))
      return new Promise(() => {})
    })
    const bytes = await guest('(call $number)')
    const cell = await engine.startCell(cellSpec(component(bytes, {}, { bindings: [bound], ...interfaces })), {
      signal: signal(),
    })
    const controller = new AbortController()
    const run = cell.run('guest', { signal: controller.signal })
    await entered.promise
    controller.abort()
    await assert.rejects(run)
    assert.ok((await aborted.promise) instanceof Error)
    assert.equal(cell.metrics().instances, 0)
  })

test('a refusal crosses as code and message only', async () => {
  await using engine = testEngine()
  const bound = binding(async () => {
    throw Object.assign(new Error('no such thing'), { code: 'ERR_TEST', token: 'a secret' })
  })
  const bytes = await guest('(call $number)')
  const cell = await engine.startCell(cellSpec(component(bytes, {}, { bindings: [bound], ...interfaces })), {
    signal: signal(),
  })
  await assert.rejects(cell.run('guest', { signal: signal() }), (error) => {
    assert.ok(isHeraldError(error))
    assert.match(error.message, /no such thing/)
    assert.doesNotMatch(JSON.stringify({ ...error, message: error.message }), /a secret/)
    return true
  })
})

for (const isolation of isolations)
  test(`counters that a capability shares are seen at once on both sides, also by a guest that does not yield (its cell being a ${isolation})`, async () => {
    await using engine = testEngine({ isolation })
    const shared = new SharedArrayBuffer(8)
    const counters = new Int32Array(shared)
    const bound = {
      ...binding(async () => 0),
      cellModule: new URL('./capabilities/counter-cell.ts', import.meta.url),
      config: { shared },
    }
    const bytes = await guest('(drop (call $pushed)) (loop (br_if 0 (i32.eqz (call $plain)))) (i32.const 0)')
    const limits = { watchdogMs: 60_000 }
    const cell = await engine.startCell(cellSpec(component(bytes, limits, { bindings: [bound], ...interfaces })), {
      signal: signal(),
    })
    for (let round = 1; round <= 2; round++) {
      counters[0] = 0
      const run = cell.run('guest', { signal: signal() })
      for (const giveUp = performance.now() + 20_000; counters[1] !== round && performance.now() < giveUp; )
        await new Promise((resolve) => setTimeout(resolve, 5))
      assert.equal(counters[1], round)
      Atomics.add(counters, 0, 7)
      assert.deepEqual(await run, { exitCode: 0 })
    }
  })

for (const { what, later } of [
  { what: 'at once', later: 0 },
  { what: 'after a wait', later: 1 },
]) {
  test(`a guest that holds too many handles of a capability, given ${what}, meets the limit and does not count as trapped`, async () => {
    await using engine = testEngine()
    const bytes = await watComponent(
      `(module
        (import "test:cap/handles" "open" (func $open (result i32)))
        (import "test:cap/handles" "open-later" (func $later (param i32)))
        (memory (export "memory") 1)
        (func $hoard (param $later i32) (result i32)
          (loop
            (if (local.get $later) (then (call $later (i32.const 64))) (else (drop (call $open))))
            (br 0))
          (i32.const 0))
        (func (export "test:cap/hoarder#hoard") (param i32) (result i32) (call $hoard (local.get 0)))
        (func (export "wasi:cli/run@0.2.0#run") (result i32) (call $hoard (i32.const ${later}))))`,
      `package test:guest;
       package test:cap {
         interface handles { resource thing; open: func() -> thing; open-later: func() -> result<thing>; }
         interface hoarder { hoard: func(later: u32) -> u32; }
       }
       package wasi:cli@0.2.0 { interface run { run: func() -> result; } }
       world guest { import test:cap/handles; export test:cap/hoarder; export wasi:cli/run@0.2.0; }`,
      'guest',
    )
    const served = { capabilityInterfaces: ['test:cap/handles'], capabilityWaits: ['test:cap/handles#open-later'] }
    const cell = await engine.startCell(
      cellSpec(component(bytes, {}, { bindings: [binding(async () => 0)], ...served })),
      { signal: signal() },
    )
    const call = { interface: 'test:cap/hoarder', function: 'hoard', args: [later], timeoutMs: 30_000 }
    const limit = (error: unknown) => isHeraldError(error) && error.code === 'ERR_COMPONENT_HANDLES'
    await assert.rejects(cell.call!('guest', call, { signal: signal() }), limit)
    await assert.rejects(cell.run('guest', { signal: signal() }), limit)
    const { handleLimits, traps, failures, restarts } = cell.metrics()
    assert.deepEqual(
      { handleLimits, traps, failures, restarts },
      { handleLimits: 2, traps: 0, failures: 2, restarts: 0 },
    )
  })
}
