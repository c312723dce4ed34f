import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createHeraldIdentityCapability } from '../../src/capabilities/herald-identity/herald-identity-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import type { ComponentIdentity } from '../../src/identity/svid-source.ts'
import type { Log } from '../../src/observability/log.ts'
import { type CapabilityHouse, type HouseWorkload, openCapabilityHouse } from '../capabilities/capability-house.ts'
import { watComponent } from '../engine/guests/build-guest.ts'
import { callerInterface, callGuests, eventually } from './calls-house.ts'

/** `types` gives names to types only, as `use` has it: importer and exporter both import it, and nobody serves it. */
const typedWit = `package test:guest; package test:store {
  interface types { record item { name: string, tags: list<string>, colour: colour } enum colour { red, blue } }
  interface store { use types.{item}; first: func() -> item; }
}
package wasi:cli@0.2.0 { interface run { run: func() -> result; } }`
const { caller, callee } = callGuests()
const memory = `(memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))`
const runs = `(func (export "wasi:cli/run@0.2.0#run") (result i32) (i32.const 0))`
const runWit = 'package wasi:cli@0.2.0 { interface run { run: func() -> result; } }'
let house: CapabilityHouse

const capabilities = (log: Log) => {
  const identity = { release: () => {} } as ComponentIdentity
  const verifier = { verify: () => assert.fail('not asked') }
  return [createHeraldIdentityCapability({ svids: { open: () => identity }, verifier, clock: systemClock, log })]
}

before(async () => {
  house = await openCapabilityHouse(capabilities, {
    guests: {
      ...{ caller, callee, twin: callee },
      stranger: shaped('record account { name: string, cents: u64 } get: func() -> account;'),
      asker: asking('record account { name: string, cents: s64 } get: func() -> account;'),
      lender: shaped('resource thing { } get: func(t: borrow<thing>);', '[dtor]'),
      borrower: asking('resource thing { } get: func(t: borrow<thing>);'),
      keeper: typed('export'),
      reader: typed('import'),
      left: circular('left', 'right'),
      right: circular('right', 'left'),
    },
  })
})
after(() => house[Symbol.asyncDispose]())

const deploy = (options: Partial<HouseWorkload> = {}) =>
  house.deploy({
    component: 'caller',
    beside: ['callee'],
    ...options,
    interfaces: [callerInterface, ...(options.interfaces ?? [])],
  })

async function refusal(options: Partial<HouseWorkload>): Promise<{ code: string; text: string }> {
  try {
    await using _ = await deploy(options)
  } catch (error) {
    assert.ok(isHeraldError(error))
    return { code: error.code, text: `${error.message}\n${error.hint}` }
  }
  return assert.fail('it was deployed')
}

const wrongCalls: readonly [string, readonly string[], RegExp][] = [
  ['balance', ['alice'], /account: not JSON/],
  ['balance', ['7'], /account: expected is a string/],
  ['balance', [], /0 arguments for balance\(account: string\)/],
  ['close', ['1'], /no component exports acme:ledger\/accounts\.close/],
  ['toString', [], /no component exports/],
  ['quote-payment', ['"a"', '"b"', '-1', 'null'], /cents: expected is a whole number/],
]

test('a host calls exported functions with JSON that it checks against the component’s types', async () => {
  await using ledger = await house.deploy({ component: 'ledger-c' })
  const signal = AbortSignal.timeout(30_000)
  const call = (fn: string, args: readonly string[]) =>
    house.host.call(
      ledger.handle.id,
      { interface: 'acme:ledger/accounts', function: fn, args, timeoutMs: 20_000 },
      { signal },
    )
  assert.deepEqual(await call('balance', ['"alice"']), { isErr: false, json: '10000' })
  assert.deepEqual(await call('balance', ['"carol"']), { isErr: true, json: '{"unknown-account":"carol"}' })
  for (const [fn, args, message] of wrongCalls)
    await assert.rejects(
      call(fn, args),
      (error) => isHeraldError(error, 'ERR_CALL_ARGUMENTS') && message.test(error.message),
    )
})

test('a call by the host ends by its deadline, by its signal and by a trap, each with its own code', async () => {
  await using guest = await deploy()
  const call = (fn: string, args: readonly string[], timeoutMs: number, signal = AbortSignal.timeout(30_000)) =>
    house.host.call(
      guest.handle.id,
      { interface: 'test:calls/faults@0.1.0', function: fn, args, timeoutMs },
      { signal },
    )
  assert.deepEqual(await call('who', [], 20_000), { isErr: false, json: '"unknown"' })
  await assert.rejects(call('trap', [], 20_000), { code: 'ERR_COMPONENT_TRAP' })
  await assert.rejects(call('wait', ['60000'], 100), { code: 'ERR_COMPONENT_DEADLINE' })
  const leaving = new AbortController()
  const left = call('wait', ['60000'], 60_000, leaving.signal)
  left.catch(() => {})
  await eventually(() => assert.equal(guest.handle.status().metrics[0]?.inFlight, 1))
  leaving.abort()
  await assert.rejects(left)
  await eventually(() => assert.equal(guest.handle.status().metrics[0]?.inFlight, 0))
})

test('a component calls what another component of its workload exports', async () => {
  await using guest = await house.deploy({ component: 'teller-c', beside: ['ledger-c'] })
  assert.deepEqual(await guest.get('/balance', { account: 'alice' }), { status: 200, text: '{"cents":10000}\n' })
  assert.deepEqual(await guest.get('/quote', { payer: 'alice', payee: 'bob', cents: '500', memo: 'Lunch & tea' }), {
    status: 200,
    text: '{"payer":"alice","payee":"bob","cents":500,"fee":5,"memo":"Lunch & tea"}\n',
  })
})

test('what the callee returns as err is the caller’s to handle, and nobody failed', async () => {
  await using guest = await house.deploy({ component: 'teller-c', beside: ['ledger-c'] })
  assert.deepEqual(await guest.get('/balance', { account: 'carol' }), {
    status: 404,
    text: '{"unknown-account":"carol"}\n',
  })
  assert.deepEqual(await guest.get('/quote', { payer: 'bob', payee: 'alice', cents: '5000' }), {
    status: 409,
    text: '{"insufficient":850}\n',
  })
  const [metrics] = guest.handle.status().metrics
  assert.equal(metrics?.failures, 0)
  assert.equal(metrics?.traps, 0)
})

test('bytes arrive as they were sent, whatever their number', async () => {
  await using guest = await deploy()
  for (const size of [0, 1, 65_537, 3_000_000])
    assert.equal((await guest.get('/echo', { size: String(size) })).text, 'equal')
})

test('the callee is told which component of its workload called it', async () => {
  await using guest = await deploy()
  assert.equal((await guest.get('/who')).text, 'sibling caller')
})

test('calls run at once, each on an instance of the callee’s own', async () => {
  await using guest = await deploy({ poolSize: 4 })
  const asked = Array.from({ length: 12 }, () => guest.get('/wait', { ms: '50' }))
  for (const { status } of await Promise.all(asked)) assert.equal(status, 200)
})

test('a trap of the callee ends the call of its caller, which does not go on, and both go on serving with fresh instances', async () => {
  await using guest = await deploy({ poolSize: 1 })
  assert.equal((await guest.get('/requests')).text, '1')
  assert.equal((await guest.get('/refuse')).text, '1')
  assert.equal((await guest.get('/refuse')).text, '2')
  assert.equal((await guest.get('/trap')).status, 500)
  assert.equal(
    (await guest.get('/requests')).text,
    '1',
    'an instance of the caller that was in the call is not used again',
  )
  assert.equal((await guest.get('/refuse')).text, '1', 'nor is the one of the callee that trapped')
  const [metrics] = guest.handle.status().metrics
  assert.equal(metrics?.traps, 1, 'only one of them trapped')
  assert.equal(metrics?.restarts, 0)
})

test('the deadline of a request holds for what it calls', async () => {
  await using short = await openCapabilityHouse(capabilities, {
    guests: { caller, callee },
    limits: { requestTimeoutMs: 200 },
  })
  await using guest = await short.deploy({
    component: 'caller',
    beside: ['callee'],
    poolSize: 1,
    interfaces: [callerInterface],
  })
  assert.equal((await guest.get('/wait', { ms: '60000' })).status, 504)
  await eventually(() => assert.equal(guest.handle.status().metrics[0]?.inFlight, 0))
  // On a busy machine 200 ms may be too short for this one too.
  await eventually(async () =>
    assert.equal((await guest.get('/wait', { ms: '0' })).text, '1', 'the instance that waited is gone'),
  )
})

test('a client that leaves ends the callee’s call too', async () => {
  await using guest = await deploy({ poolSize: 1 })
  const leaving = new AbortController()
  const gone = guest.send('GET', '/wait?ms=60000', undefined, { signal: leaving.signal })
  gone.catch(() => {})
  await eventually(() => assert.equal(guest.handle.status().metrics[0]?.inFlight, 2))
  leaving.abort()
  await assert.rejects(gone)
  await eventually(() => assert.equal(guest.handle.status().metrics[0]?.inFlight, 0))
  assert.equal((await guest.get('/wait', { ms: '0' })).status, 200)
})

test('an import that nobody exports is refused', async () => {
  const { code, text } = await refusal({ beside: [] })
  assert.equal(code, 'ERR_COMPONENT_IMPORT_UNKNOWN')
  assert.match(text, /test:calls\/faults@0\.1\.0/)
})

test('an import that two components export is refused, until an entry says which is meant', async () => {
  const beside = ['callee', 'twin']
  const { code, text } = await refusal({ beside })
  assert.equal(code, 'ERR_WORKLOAD_LINK_AMBIGUOUS')
  assert.match(text, /callee and twin export/)
  const entry = (config: string) => `{namespace: test, package: calls, interfaces: [faults], config: {${config}}}`
  assert.equal(
    (await refusal({ beside, interfaces: [entry('component: nobody')] })).code,
    'ERR_WORKLOAD_LINK_AMBIGUOUS',
  )
  await using guest = await deploy({ beside, interfaces: [entry('component: twin')] })
  assert.equal((await guest.get('/refuse')).text, '1')
})

test('components that call each other in a circle are refused', async () => {
  const { code, text } = await refusal({ component: 'left', beside: ['right'] })
  assert.equal(code, 'ERR_WORKLOAD_LINK_CYCLE')
  assert.match(text, /left → right → left/)
})

test('types that differ are refused, and both are shown', async () => {
  const { code, text } = await refusal({ component: 'asker', beside: ['stranger'] })
  assert.equal(code, 'ERR_WORKLOAD_LINK_TYPES')
  assert.match(text, /cents: s64/)
  assert.match(text, /cents: u64/)
})

test('interfaces that only name types need nobody to serve them, and a job that calls another component completes', async () => {
  await using guest = await deploy({ component: 'reader', beside: ['keeper'] })
  assert.deepEqual((await guest.handle.ended).kind, 'completed')
  assert.deepEqual(guest.handle.status().exitCodes, { reader: 0 })
})

test('resources do not go from one component to another', async () => {
  const { code, text } = await refusal({ component: 'borrower', beside: ['lender'] })
  assert.equal(code, 'ERR_WORKLOAD_LINK_TYPES')
  assert.match(text, /a resource/)
})

/** A component that exports `test:shape/shape` with these items. */
function shaped(items: string, extra = ''): Promise<Uint8Array> {
  const takes = extra === '' ? '(result i32) (i32.const 0)' : '(param i32)'
  const dtor = extra === '' ? '' : '(func (export "test:shape/shape#[dtor]thing") (param i32))'
  return watComponent(
    `(module ${memory} ${dtor} (func (export "test:shape/shape#get") ${takes}))`,
    `package test:guest; package test:shape { interface shape { ${items} } } world guest { export test:shape/shape; }`,
    'guest',
  )
}

/** A component that imports `test:shape/shape` with these items. */
function asking(items: string): Promise<Uint8Array> {
  return watComponent(
    `(module (import "test:shape/shape" "get" (func (param i32))) ${memory} ${runs})`,
    `package test:guest; package test:shape { interface shape { ${items} } } ${runWit} world guest { import test:shape/shape; export wasi:cli/run@0.2.0; }`,
    'guest',
  )
}

/** The exporter gives {name: "abc", tags: ["abc"], colour: blue}; the importer runs, and ends with 0 if that is what it got. */
function typed(side: 'import' | 'export'): Promise<Uint8Array> {
  if (side === 'export') {
    return watComponent(
      `(module ${memory} (data (i32.const 0) "\\20\\00\\00\\00\\03\\00\\00\\00\\28\\00\\00\\00\\01\\00\\00\\00\\01")
        (data (i32.const 32) "abc\\00\\00\\00\\00\\00\\20\\00\\00\\00\\03\\00\\00\\00")
        (func (export "test:store/store#first") (result i32) (i32.const 0)))`,
      `${typedWit} world guest { export test:store/store; }`,
      'guest',
    )
  }
  return watComponent(
    `(module (import "test:store/store" "first" (func $first (param i32)))
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (global.get $next))
        (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const -8)))
        (local.get $at))
      (func (export "wasi:cli/run@0.2.0#run") (result i32)
        (call $first (i32.const 64))
        (i32.ne (i32.const 3) (i32.load (i32.const 68)))
        (i32.or (i32.ne (i32.const 1) (i32.load (i32.const 76))))
        (i32.or (i32.ne (i32.const 3) (i32.load (i32.add (i32.const 4) (i32.load (i32.const 72))))))
        (i32.or (i32.ne (i32.const 1) (i32.load8_u (i32.const 80))))
        (i32.or (i32.ne (i32.const 98) (i32.load8_u (i32.add (i32.const 1) (i32.load (i32.const 64))))))))`,
    `${typedWit} world guest { import test:store/store; export wasi:cli/run@0.2.0; }`,
    'guest',
  )
}

function circular(own: string, other: string): Promise<Uint8Array> {
  return watComponent(
    `(module (import "test:circle/${other}" "go" (func $go)) ${memory} ${runs} (func (export "test:circle/${own}#go") (call $go)))`,
    `package test:guest; package test:circle { interface left { go: func(); } interface right { go: func(); } } ${runWit}
     world guest { import test:circle/${other}; export test:circle/${own}; export wasi:cli/run@0.2.0; }`,
    'guest',
  )
}
