import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { connect, type NatsConnection } from 'nats'
import { encodeCall, parseAnswer } from '../../src/capabilities/calls/call-frame.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import {
  createDevelopmentAuthority,
  type DevelopmentAuthority,
} from '../../src/identity/development/development-authority.ts'
import { selectorsOf } from '../../src/identity/selectors.ts'
import { callCancelSubject, callSubject } from '../../src/lattice/call-subjects.ts'
import { createLog } from '../../src/observability/log.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { fingerprintOf } from '../../src/wit/fingerprint.ts'
import { encodeValues } from '../../src/wit/value-bytes.ts'
import type { WitFunction } from '../../src/wit/wit-type.ts'
import type { CapabilityHouse, DeployedWorkload, HouseWorkload } from '../capabilities/capability-house.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { callerInterface, callsEntry, eventually, openCallsHouse } from './calls-house.ts'

const calleeId = parseSpiffeId('spiffe://development.local/default/callee')
const callerId = 'spiffe://development.local/default/caller'
const cleanup = new AsyncDisposableStack()
let nats: Nats
let authority: DevelopmentAuthority
let here: CapabilityHouse
let there: CapabilityHouse
/** Another program on the same NATS, of nobody in particular. */
let stranger: NatsConnection

before(async () => {
  nats = cleanup.use(await startNats())
  authority = cleanup.use(
    await createDevelopmentAuthority({ log: createLog({ level: 'silent' }), clock, inKubernetes: false }),
  )
  stranger = await connect({ servers: nats.url })
  cleanup.defer(() => stranger.close())
  here = cleanup.use(await openCallsHouse({ url: nats.url, authority }))
  there = cleanup.use(await openCallsHouse({ url: nats.url, authority }))
})
after(() => cleanup.disposeAsync())

const deployCaller = (config = '', options: Partial<HouseWorkload> = {}) =>
  here.deploy({ component: 'caller', interfaces: [callsEntry(`callee: "${calleeId}", ${config}`)], ...options })

/** Resolves when NATS knows that it listens. */
async function deployCallee(
  config = `callers: "${callerId}"`,
  options: Partial<HouseWorkload> = {},
): Promise<DeployedWorkload> {
  const callee = await there.deploy({
    component: 'callee',
    interfaces: [callsEntry(config), callerInterface],
    ...options,
  })
  await eventually(async () => {
    const answer = await stranger.request(callSubject(calleeId), 'nothing', { timeout: 2_000 })
    assert.ok(parseAnswer(answer.data))
  })
  return callee
}

const inFlight = ({ handle }: DeployedWorkload) => handle.status().metrics[0]?.inFlight

test('a component calls one of another host, which is told who called', async () => {
  await using _ = await deployCallee()
  await using caller = await deployCaller()
  assert.deepEqual(await caller.get('/who'), { status: 200, text: `component ${callerId}` })
  assert.equal((await caller.get('/echo', { size: '200000' })).text, 'equal')
  assert.deepEqual(await caller.get('/refuse', { why: 'closed today' }), { status: 409, text: 'closed today' })
  assert.equal((await caller.get('/refuse')).status, 200)
})

test('records, options and variants go from host to host as WIT has them', async () => {
  const entry = (config: string) => `{namespace: acme, package: ledger, interfaces: [accounts], config: {${config}}}`
  await using _ = await there.deploy({
    component: 'ledger-c',
    interfaces: [entry('callers: "spiffe://development.local/default/*"')],
  })
  await using teller = await here.deploy({
    component: 'teller-c',
    interfaces: [entry('callee: "spiffe://development.local/default/ledger-c"')],
  })
  await eventually(async () => assert.equal((await teller.get('/balance', { account: 'alice' })).status, 200))
  assert.equal(
    (await teller.get('/quote', { payer: 'alice', payee: 'bob', cents: '500', memo: 'tea' })).text,
    '{"payer":"alice","payee":"bob","cents":500,"fee":5,"memo":"tea"}\n',
  )
  assert.deepEqual(await teller.get('/balance', { account: 'carol' }), {
    status: 404,
    text: '{"unknown-account":"carol"}\n',
  })
})

test('who is not listed is refused before the guest runs, and both hosts say so without the token', async () => {
  await using callee = await deployCallee(
    'callers: "spiffe://development.local/default/other, spiffe://development.local/default/caller/*"',
  )
  await using caller = await deployCaller()
  assert.equal((await caller.get('/who')).status, 500)
  assert.equal(callee.handle.status().metrics[0]?.requests, 0)
  const denied = there.records().find(({ event }) => event === 'audit.calls.denied')
  assert.deepEqual([denied?.target, denied?.code], [callerId, 'ERR_CALLER_NOT_ALLOWED'])
  const refused = here.records().find(({ event }) => event === 'audit.calls.refused')
  assert.deepEqual([refused?.target, refused?.reason], [calleeId, 'denied'])
})

test('a workload that lists no callers is called by nobody, and one that names no callee calls nobody', async () => {
  await using _ = await there.deploy({
    component: 'callee',
    interfaces: [callsEntry('timeout-ms: "1000"'), callerInterface],
  })
  await assert.rejects(stranger.request(callSubject(calleeId), 'x', { timeout: 20_000 }), /503/)
  await assert.rejects(
    here.deploy({ component: 'caller', interfaces: [callsEntry('timeout-ms: "1000"')] }),
    /imports test:calls\/faults/,
  )
})

test('a callee that is gone is 503, and the next call finds it back', async () => {
  const first = await deployCallee()
  await using caller = await deployCaller()
  assert.equal((await caller.get('/refuse')).status, 200)
  await first[Symbol.asyncDispose]()
  assert.equal((await caller.get('/refuse')).status, 503)
  await using _ = await deployCallee()
  await eventually(async () => assert.equal((await caller.get('/refuse')).status, 200))
})

test('a trap of the callee ends its caller’s call, and both go on with fresh instances', async () => {
  await using callee = await deployCallee(undefined, { poolSize: 1 })
  await using caller = await deployCaller('', { poolSize: 1 })
  assert.equal((await caller.get('/refuse')).text, '1')
  assert.equal((await caller.get('/trap')).status, 500)
  assert.equal((await caller.get('/refuse')).text, '1')
  assert.equal((await caller.get('/requests')).text, '2')
  assert.equal(callee.handle.status().metrics[0]?.traps, 1)
  assert.equal(caller.handle.status().metrics[0]?.traps, 0)
})

test('the deadline goes along: both ends stop when it has passed', async () => {
  await using callee = await deployCallee()
  await using caller = await deployCaller('timeout-ms: "300"')
  assert.equal((await caller.get('/wait', { ms: '60000' })).status, 504)
  await eventually(() => assert.equal(inFlight(callee), 0))
})

test('a client that leaves ends the call on the other host too', async () => {
  await using callee = await deployCallee()
  await using caller = await deployCaller()
  const leaving = new AbortController()
  const gone = caller.send('GET', '/wait?ms=60000', undefined, { signal: leaving.signal })
  gone.catch(() => {})
  await eventually(() => assert.equal(inFlight(callee), 1))
  leaving.abort()
  await eventually(() => assert.equal(inFlight(callee), 0))
})

test('beyond max-in-flight callers are told that it is busy', async () => {
  await using callee = await deployCallee(`callers: "${callerId}", max-in-flight: "1"`)
  await using caller = await deployCaller()
  const leaving = new AbortController()
  const first = caller.send('GET', '/wait?ms=60000', undefined, { signal: leaving.signal })
  first.catch(() => {})
  await eventually(() => assert.equal(inFlight(callee), 1))
  assert.equal((await caller.get('/refuse')).status, 503)
  leaving.abort()
  await eventually(async () => assert.equal((await caller.get('/refuse')).status, 200))
})

test('replicas share the calls, and what one has no room for goes to another', async () => {
  await using callee = await deployCallee(`callers: "${callerId}", max-in-flight: "2"`, { replicas: 3, poolSize: 2 })
  await using caller = await deployCaller('', { poolSize: 6 })
  await eventually(async () => {
    const asked = Array.from({ length: 6 }, () => caller.get('/wait', { ms: '100' }))
    for (const { status } of await Promise.all(asked)) assert.ok(status === 200 || status === 503)
    const used = callee.handle.status().metrics.filter(({ requests }) => requests > 0)
    assert.ok(used.length > 1, 'more than one replica took part')
  })
})

test('a callee is not parked for want of calls, and a caller that was wakes for the next', async () => {
  const soon = '{namespace: herald, package: cell, interfaces: [settings], config: {idle-timeout: 1ms}}'
  await using callee = await deployCallee(undefined, {
    interfaces: [callsEntry(`callers: "${callerId}"`), callerInterface, soon],
  })
  await using caller = await deployCaller('', { interfaces: [callsEntry(`callee: "${calleeId}"`), soon] })
  await eventually(() => assert.equal(caller.handle.status().metrics[0]?.parked, 1))
  assert.equal((await caller.get('/refuse')).status, 200)
  assert.equal(callee.handle.status().metrics[0]?.parked, 0)
})

test('arguments that NATS does not take are refused, and the caller goes on', async () => {
  await using _ = await deployCallee()
  await using caller = await deployCaller()
  assert.equal((await caller.get('/echo', { size: '2000000' })).status, 500)
  assert.equal((await caller.get('/echo', { size: '1000' })).status, 200)
})

test('NATS that goes away and comes back is no end', async () => {
  await using _ = await deployCallee()
  await using caller = await deployCaller('timeout-ms: "1000"')
  assert.equal((await caller.get('/refuse')).status, 200)
  await nats.restart()
  await eventually(async () => assert.equal((await caller.get('/refuse')).status, 200))
  await eventually(() => stranger.flush())
})

const string = { kind: 'string' } as const
const who: WitFunction = { name: 'who', params: [], result: string, isAsync: false }
const echo: WitFunction = {
  name: 'echo',
  params: [{ name: 'bytes', type: { kind: 'list', element: { kind: 'u8' } } }],
  result: { kind: 'list', element: { kind: 'u8' } },
  isAsync: false,
}

/** A token as the authority would give it to a component of this name. */
async function token(
  audience: string,
  { componentName = 'caller', by = authority }: { componentName?: string; by?: DevelopmentAuthority } = {},
) {
  const selectors = selectorsOf(componentFacts({ componentName }))
  const [svid] = await by.fetchJwtSvids({ selectors, audiences: [audience] }, { signal: AbortSignal.timeout(10_000) })
  return svid!.token
}

function head(presented: string, changes: object = {}) {
  return {
    ...{
      id: randomBytes(16).toString('hex'),
      interface: 'test:calls/faults@0.1.0',
      function: 'who',
      types: fingerprintOf(who),
    },
    ...{ deadline: Date.now() + 20_000, token: presented },
    ...changes,
  }
}

/** What the callee answers to a frame: the name of its refusal, or `returned`. */
async function send(frame: Uint8Array | string): Promise<string> {
  const { data } = await stranger.request(callSubject(calleeId), frame, { timeout: 10_000 })
  const answer = parseAnswer(data)
  assert.ok(answer)
  assert.doesNotMatch(Buffer.from(data).toString('latin1'), /eyJ/)
  return answer.kind === 'refused' ? answer.refusal : answer.kind
}

const none = new Uint8Array()

test('what comes from the network is refused unless it is a call of an allowed caller, in time, for this callee, for the first time', async () => {
  await using callee = await deployCallee()
  await using foreign = await createDevelopmentAuthority({
    ...{ log: createLog({ level: 'silent' }), clock, inKubernetes: false },
  })
  await using past = await createDevelopmentAuthority({
    log: createLog({ level: 'silent' }),
    clock: { ...clock, nowMs: () => clock.nowMs() - 3_600_000 },
    inKubernetes: false,
  })
  const good = await token(calleeId)
  const version2 = encodeCall(head(good), none)
  version2[0] = 2
  const longHead = encodeCall(head(good), none)
  longHead.set([0xff, 0xff, 0xff, 0xff], 1)
  const [signed, signature = ''] = [good.slice(0, good.lastIndexOf('.')), good.slice(good.lastIndexOf('.') + 1)]
  const forged = `${signed}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
  const frames: Record<string, readonly [string, Uint8Array | string]> = {
    'an empty message': ['malformed', none],
    text: ['malformed', 'hello'],
    'another version': ['malformed', version2],
    'a head longer than the message': ['malformed', longHead],
    'a head that is no JSON': ['malformed', Uint8Array.of(1, 0, 0, 0, 2, 0x7b, 0x7b)],
    'an unknown key': ['malformed', encodeCall(head(good, { admin: true }), none)],
    'an id that is none': ['malformed', encodeCall(head(good, { id: '../x' }), none)],
    'a deadline in a year': ['malformed', encodeCall(head(good, { deadline: Date.now() + 31_536_000_000 }), none)],
    'a deadline that has passed': ['deadline', encodeCall(head(good, { deadline: Date.now() - 1 }), none)],
    'no token': ['denied', encodeCall(head(''), none)],
    'a token for another audience': [
      'denied',
      encodeCall(head(await token('spiffe://development.local/default/other')), none),
    ],
    'a token of another component': [
      'denied',
      encodeCall(head(await token(calleeId, { componentName: 'other' })), none),
    ],
    'a token signed by somebody else': ['denied', encodeCall(head(await token(calleeId, { by: foreign })), none)],
    'a token that has expired': ['denied', encodeCall(head(await token(calleeId, { by: past })), none)],
    'an altered signature': ['denied', encodeCall(head(forged), none)],
    'a function that is not there': ['unknown', encodeCall(head(good, { function: 'constructor' }), none)],
    'an interface that is not there': ['unknown', encodeCall(head(good, { interface: 'wasi:cli/run@0.2.0' }), none)],
    'other types': ['unknown', encodeCall(head(good, { types: fingerprintOf({ ...who, result: echo.result }) }), none)],
  }
  for (const [what, [refusal, frame]] of Object.entries(frames)) assert.equal(await send(frame), refusal, what)
  assert.equal(callee.handle.status().metrics[0]?.requests, 0, 'the guest ran for none of them')
  const toEcho = { function: 'echo', types: fingerprintOf(echo) }
  assert.equal(
    await send(encodeCall(head(good, toEcho), Uint8Array.of(9, 1))),
    'malformed',
    'arguments that end too early',
  )
  const once = encodeCall(head(good), none)
  assert.equal(await send(once), 'returned')
  assert.equal(await send(once), 'repeated')
  assert.equal(
    await send(encodeCall(head(good, toEcho), encodeValues([echo.params[0]!.type], [Uint8Array.of(1)]))),
    'returned',
  )
})

test('a cancellation that names no call does nothing', async () => {
  await using callee = await deployCallee()
  for (const text of ['', 'x', 'f'.repeat(32), 'f'.repeat(5_000)]) stranger.publish(callCancelSubject(calleeId), text)
  await stranger.flush()
  assert.equal(await send(encodeCall(head(await token(calleeId)), none)), 'returned')
  assert.equal(callee.handle.status().metrics[0]?.failures, 0)
})

test('an answer is believed in its form only', async () => {
  await using caller = await deployCaller('timeout-ms: "5000"')
  for (const answer of [
    '',
    'x',
    Uint8Array.of(1, 0),
    Uint8Array.of(1, 0, 200),
    Uint8Array.of(1, 1, 0x7b),
    Uint8Array.of(9, 0, 0),
  ]) {
    using _ = impostor(answer)
    await stranger.flush()
    assert.equal((await caller.get('/who')).status, 500)
  }
})

/** Answers every call with this. */
function impostor(answer: Uint8Array | string): Disposable {
  const subscription = stranger.subscribe(callSubject(calleeId), {
    callback: (_, message) => void message.respond(answer),
  })
  return { [Symbol.dispose]: () => subscription.unsubscribe() }
}

test('no token is in any log', () => {
  for (const house of [here, there]) assert.doesNotMatch(JSON.stringify(house.records()), /eyJ[\w-]+\.[\w-]+/)
})

test('a component is refused that would be called where there is no NATS, or without an identity', async () => {
  await assert.rejects(
    here.deploy({ component: 'caller', interfaces: [callsEntry('callee: "not-an-id"')] }),
    /callee: .*is no SPIFFE ID/,
  )
  await assert.rejects(
    there.deploy({ component: 'callee', interfaces: [callsEntry('callers: "*"'), callerInterface] }),
    /callers: "\*" cannot be used/,
  )
  const both = callsEntry(`callee: "${calleeId}", component: callee`)
  await assert.rejects(
    here.deploy({ component: 'caller', interfaces: [both] }),
    /names? one of them|a callee and a component/,
  )
})
