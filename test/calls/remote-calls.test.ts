import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connect, type NatsConnection } from 'nats'
import { encodeAnswer, encodeCall } from '../../src/capabilities/calls/call-frame.ts'
import { CallKey, callAudience } from '../../src/capabilities/calls/call-key.ts'
import { CallSession, readSealed } from '../../src/capabilities/calls/call-session.ts'
import {
  encodeClearRefusal,
  encodeGreeting,
  parseClearRefusal,
  parseGreeting,
} from '../../src/capabilities/calls/greeting-frame.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import {
  createDevelopmentAuthority,
  type DevelopmentAuthority,
} from '../../src/identity/development/development-authority.ts'
import { selectorsOf } from '../../src/identity/selectors.ts'
import { callReplicaSubject, callSubject } from '../../src/lattice/call-subjects.ts'
import { createLog } from '../../src/observability/log.ts'
import type { FinishedSpan } from '../../src/observability/span.ts'
import { Tracer } from '../../src/observability/tracer.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { fingerprintOf } from '../../src/wit/fingerprint.ts'
import { encodeValues } from '../../src/wit/value-bytes.ts'
import type { WitFunction } from '../../src/wit/wit-type.ts'
import type { CapabilityHouse, DeployedWorkload, HouseWorkload } from '../capabilities/capability-house.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { callerInterface, callsEntry, eventually, openCallsHouse } from './calls-house.ts'
import { greetCallee, nonce, openPretendedCaller } from './pretended-caller.ts'

const calleeId = parseSpiffeId('spiffe://development.local/default/callee')
const callerId = 'spiffe://development.local/default/caller'
const cleanup = new AsyncDisposableStack()
let nats: Nats
let authority: DevelopmentAuthority
let here: CapabilityHouse
let there: CapabilityHouse
const spans: FinishedSpan[] = []
const tracer = new Tracer({ parentBased: true, ratio: 1 }, (finished) => spans.push(...finished))
/** Another program on the same NATS, of nobody in particular. */
let stranger: NatsConnection

before(async () => {
  nats = cleanup.use(await startNats())
  authority = cleanup.use(
    await createDevelopmentAuthority({ log: createLog({ level: 'silent' }), clock, inKubernetes: false }),
  )
  stranger = await connect({ servers: nats.url })
  cleanup.defer(() => stranger.close())
  here = cleanup.use(await openCallsHouse({ url: nats.url, authority, tracer }))
  there = cleanup.use(await openCallsHouse({ url: nats.url, authority, tracer }))
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
    assert.ok(parseClearRefusal(answer.data))
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

test('the span of a call is the parent of the one where it is answered, and each says who is at its other end', async () => {
  await using _ = await deployCallee()
  await using caller = await deployCaller()
  assert.equal((await caller.get('/who')).status, 200)
  const ofKind = (kind: FinishedSpan['kind']) =>
    spans.filter((span) => span.kind === kind && span.name.endsWith('/who')).at(-1)
  await eventually(() => {
    tracer.flush()
    assert.equal(ofKind('server')?.parentSpanId, ofKind('client')?.spanId)
  })
  const [client, server] = [ofKind('client'), ofKind('server')]
  assert.equal(server?.traceId, client?.traceId)
  const method = client?.attributes['rpc.method']
  assert.equal(client?.name, method)
  const of = (name: string) => ({
    ...{ 'herald.workload.namespace': 'shop', 'herald.workload.name': name, 'herald.component.name': name },
    'rpc.method': method,
  })
  assert.deepEqual(client?.attributes, { ...of('caller'), 'herald.callee': calleeId })
  assert.deepEqual(server?.attributes, { ...of('callee'), 'herald.caller': callerId })
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

test('one interface under two labels is called at two callees', async () => {
  const anybody = 'callers: "spiffe://development.local/default/*"'
  await using _ = await deployCallee(anybody)
  await using _twin = await there.deploy({
    ...{ component: 'twin', poolSize: 1 },
    interfaces: [callsEntry(anybody), callerInterface],
  })
  await using asker = await here.deploy({
    component: 'asker',
    interfaces: [calleeId, calleeId.replace(/callee$/, 'twin')].map((callee, at) =>
      callsEntry(`callee: "${callee}"`).replace('config:', `name: ${at === 0 ? 'left' : 'right'}, config:`),
    ),
  })
  const signal = AbortSignal.timeout(30_000)
  const ask = (fn: string) =>
    here.host.call(
      asker.handle.id,
      { interface: 'test:asker/asking', function: fn, args: [], timeoutMs: 20_000 },
      { signal },
    )
  for (const [fn, json] of [
    ['right', '1'],
    ['right', '2'],
    ['right', '3'],
    ['left', '1'],
  ] as const)
    await eventually(async () => assert.deepEqual(await ask(fn), { isErr: false, json }))
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

const none = new Uint8Array()

const greet = (frame: Uint8Array | string): Promise<string> => greetCallee(stranger, calleeId, frame)

/** A caller that is a program of this test: it has a token of the authority, and knows the protocol. */
async function meetCallee() {
  const key = new CallKey()
  const caller = { id: parseSpiffeId(callerId), key, token: await token(key.audience) }
  return openPretendedCaller(stranger, calleeId, caller)
}

const head = (changes: object = {}) => ({
  ...{
    interface: 'test:calls/faults@0.1.0',
    function: 'who',
    types: fingerprintOf(who),
    deadline: Date.now() + 20_000,
  },
  ...changes,
})

test('who greets is refused without a token of its own for its own key, of this authority, and of a caller that is listed', async () => {
  await using callee = await deployCallee()
  await using foreign = await createDevelopmentAuthority({
    ...{ log: createLog({ level: 'silent' }), clock, inKubernetes: false },
  })
  await using past = await createDevelopmentAuthority({
    log: createLog({ level: 'silent' }),
    clock: { ...clock, nowMs: () => clock.nowMs() - 3_600_000 },
    inKubernetes: false,
  })
  const { publicKey: key, audience } = new CallKey()
  const good = await token(audience)
  const [signed, signature = ''] = [good.slice(0, good.lastIndexOf('.')), good.slice(good.lastIndexOf('.') + 1)]
  const forged = `${signed}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
  const greeting = (presented: string, changes: object = {}) =>
    encodeGreeting({ key, nonce, token: presented, ...changes })
  const version1 = greeting(good)
  version1[0] = 1
  const frames: Record<string, readonly [string, Uint8Array | string]> = {
    'an empty message': ['malformed', none],
    text: ['malformed', 'hello'],
    'another version': ['malformed', version1],
    'no JSON': ['malformed', Uint8Array.of(2, 0, 0x7b, 0x7b)],
    'JSON that is no object': ['malformed', Buffer.concat([Uint8Array.of(2, 0), Buffer.from('null')])],
    'an unknown key': ['malformed', greeting(good, { admin: true })],
    'a key that is none': ['malformed', greeting(good, { key: 'x' })],
    'a nonce that is none': ['malformed', greeting(good, { nonce: '' })],
    'more than a greeting needs': ['malformed', greeting('x'.repeat(30_000))],
    'no token': ['denied', greeting('')],
    'a token for the callee itself, as other programs would take it': ['denied', greeting(await token(calleeId))],
    'a token that somebody else has shown, with a key of one’s own': [
      'denied',
      greeting(good, { key: new CallKey().publicKey }),
    ],
    'a token of another component': ['denied', greeting(await token(audience, { componentName: 'other' }))],
    'a token signed by somebody else': ['denied', greeting(await token(audience, { by: foreign }))],
    'a token that has expired': ['denied', greeting(await token(audience, { by: past }))],
    'an altered signature': ['denied', greeting(forged)],
    'a greeting as it should be': ['met', greeting(good)],
    'the same again': ['met', greeting(good)],
  }
  for (const [what, [answer, frame]] of Object.entries(frames)) assert.equal(await greet(frame), answer, what)
  // The one point of this curve that is refused: with it the secret would be known to all.
  const weak = Buffer.alloc(32).toString('base64url')
  assert.equal(await greet(greeting(await token(callAudience(weak)), { key: weak })), 'denied')
  assert.equal(callee.handle.status().metrics[0]?.requests, 0)
})

test('a call is refused unless its caller has sealed it, for a function that is there, in time, and for the first time', async () => {
  await using callee = await deployCallee()
  const peer = await meetCallee()
  const good = encodeCall(head(), none)
  const endless = [...encodeCall(head(), none)]
  new DataView(endless[0]!.buffer).setUint32(1, 0xffffffff)
  const messages: Record<string, readonly [string, readonly Uint8Array[]]> = {
    'an empty message': ['malformed', [none]],
    'another kind': ['malformed', [Uint8Array.of(7, 0, 0)]],
    'a head longer than the message': ['malformed', endless],
    'a head that is no JSON': ['malformed', [Uint8Array.of(0, 0, 0, 0, 2, 0x7b, 0x7b)]],
    'an unknown key': ['malformed', encodeCall(head({ admin: true }), none)],
    'a deadline in a year': ['malformed', encodeCall(head({ deadline: Date.now() + 31_536_000_000 }), none)],
    'a deadline that has passed': ['deadline', encodeCall(head({ deadline: Date.now() - 1 }), none)],
    'a function that is not there': ['unknown', encodeCall(head({ function: 'constructor' }), none)],
    'an interface that is not there': ['unknown', encodeCall(head({ interface: 'wasi:cli/run@0.2.0' }), none)],
    'other types': ['unknown', encodeCall(head({ types: fingerprintOf({ ...who, result: echo.result }) }), none)],
  }
  for (const [what, [refusal, message]] of Object.entries(messages))
    assert.equal(await peer.call(message), refusal, what)

  const number = peer.key.nextNumber()
  const frame = peer.session.sealCall(number, good)
  for (const at of [2, 12, 20, frame.length - 1]) {
    const altered = Uint8Array.from(frame)
    altered[at]! ^= 1
    assert.match(await peer.send(altered, number), /^(malformed|unknown-session) in the clear$/, `byte ${at} altered`)
  }
  const stolen = new CallKey()
  const { calleeKey, replica } = peer
  const parties = { caller: parseSpiffeId(callerId), callerKey: stolen.publicKey, callee: calleeId, calleeKey, replica }
  const thief = new CallSession(stolen, parties)
  assert.equal(await peer.send(thief.sealCall(1, good), 1), 'unknown-session in the clear')
  assert.equal(callee.handle.status().metrics[0]?.requests, 0, 'the guest ran for none of them')

  assert.equal(await peer.send(frame, number), 'returned')
  assert.equal(await peer.send(frame, number), 'repeated')
  const toEcho = head({ function: 'echo', types: fingerprintOf(echo) })
  assert.equal(await peer.call(encodeCall(toEcho, Uint8Array.of(9, 1))), 'malformed', 'arguments that end too early')
  const bytes = encodeValues([echo.params[0]!.type], [Uint8Array.of(1)])
  assert.equal(await peer.call(encodeCall(toEcho, bytes)), 'returned')
})

test('what a hostile peer has recorded of a call is worth nothing to it: no text, no second run, no other arguments, no end', async () => {
  await using callee = await deployCallee()
  await using caller = await deployCaller()
  const recorded: Uint8Array[] = []
  const subjects: string[] = []
  const tap = stranger.subscribe('herald.calls.>', {
    callback: (_, { subject, data }) => {
      recorded.push(data.slice())
      subjects.push(subject)
    },
  })
  await stranger.flush()
  const leaving = new AbortController()
  const waiting = caller.send('GET', '/wait?ms=60000', undefined, { signal: leaving.signal })
  waiting.catch(() => {})
  assert.equal((await caller.get('/refuse', { why: 'a secret reason' })).text, 'a secret reason')
  await eventually(() => assert.equal(inFlight(callee), 1))
  await eventually(() => assert.ok(recorded.filter((frame) => frame[1] === 1).length >= 2))
  tap.unsubscribe()
  assert.doesNotMatch(Buffer.concat(recorded).toString('latin1'), /a secret reason|test:calls|refuse/)
  const ran = callee.handle.status().metrics[0]?.requests
  for (const [index, frame] of recorded.entries())
    for (const subject of new Set([subjects[index]!, callSubject(calleeId)])) {
      const { data } = await stranger.request(subject, frame, { timeout: 10_000 })
      assert.doesNotMatch(Buffer.from(data).toString('latin1'), /a secret reason/)
    }
  assert.equal(callee.handle.status().metrics[0]?.requests, ran, 'nothing ran a second time')
  assert.equal(inFlight(callee), 1, 'nor was the call ended')
  const repeated = there.records().find(({ reason }) => String(reason).includes('sent a second time'))
  assert.deepEqual([repeated?.event, repeated?.target], ['audit.calls.denied', callerId])
  leaving.abort()
  await eventually(() => assert.equal(inFlight(callee), 0))
})

test('only what the callee has sealed for this very call is believed: who answers in its place can make it fail, and no more', async () => {
  const callee = await openPretendedCallee()
  using _ = callee
  await using caller = await deployCaller('timeout-ms: "5000"')
  const returned = encodeAnswer({ kind: 'returned', bytes: encodeValues([string], ['mallory']) })
  const busy = { kind: 'refused', refusal: 'busy', message: '' } as const
  let earlier: Uint8Array = none
  const answers: Record<string, readonly [number, (number: number) => Uint8Array]> = {
    'its own': [200, (number) => (earlier = callee.session().sealAnswer(callee.key.nextNumber(), number, returned))],
    nothing: [500, () => none],
    'text in the clear': [500, () => Buffer.from('mallory')],
    'a value in the clear': [500, () => Buffer.concat([Uint8Array.of(2, 1), returned])],
    'a refusal in the clear, for which it would be called again': [500, () => encodeClearRefusal(busy)],
    'the answer to an earlier call': [500, () => earlier],
    'a sealed answer to another call': [
      500,
      (number) => callee.session().sealAnswer(callee.key.nextNumber(), number + 1, returned),
    ],
    'the caller’s own message': [500, () => callee.lastCall()],
    'an answer of no form': [
      500,
      (number) => callee.session().sealAnswer(callee.key.nextNumber(), number, Uint8Array.of(9)),
    ],
    'a value of another type': [
      500,
      (number) => callee.session().sealAnswer(callee.key.nextNumber(), number, Uint8Array.of(0, 200)),
    ],
  }
  for (const [what, [status, answer]] of Object.entries(answers)) {
    callee.answerWith(answer)
    const before = callee.calls()
    const got = await caller.get('/who')
    assert.equal(got.status, status, `${what}: ${got.text}`)
    assert.equal(callee.calls(), before + 1, `${what}: it was called once`)
    if (status === 200) assert.match(got.text, /mallory/)
  }
})

/** A callee that is a program of this test, with a token of the authority: it answers greetings as it should, and calls as it is told. */
async function openPretendedCallee() {
  const key = new CallKey()
  const own = await token(key.audience, { componentName: 'callee' })
  const replica = 'ab'.repeat(16)
  let session: CallSession | undefined
  let lastCall = none
  let calls = 0
  let answer: (number: number) => Uint8Array = () => none
  const greetings = stranger.subscribe(callSubject(calleeId), {
    callback: (_, message) => {
      const greeting = parseGreeting(message.data)
      if (greeting === undefined) return
      const parties = { caller: parseSpiffeId(callerId), callerKey: greeting.key, callee: calleeId, replica }
      session = new CallSession(key, { ...parties, calleeKey: key.publicKey })
      const proof = session.prove(greeting.nonce).toString('base64url')
      message.respond(encodeGreeting({ replica, key: key.publicKey, token: own, proof }))
    },
  })
  const asked = stranger.subscribe(callReplicaSubject(calleeId, replica), {
    callback: (_, message) => {
      calls += 1
      lastCall = message.data.slice()
      message.respond(answer(readSealed(message.data)!.number))
    },
  })
  await stranger.flush()
  return {
    key,
    session: () => session!,
    calls: () => calls,
    lastCall: () => lastCall,
    answerWith: (next: (number: number) => Uint8Array) => {
      answer = next
    },
    [Symbol.dispose]() {
      greetings.unsubscribe()
      asked.unsubscribe()
    },
  }
}

test('a callee of another identity is not believed, nor one with a token that is not for its key', async () => {
  await using caller = await deployCaller('timeout-ms: "5000"')
  const key = new CallKey()
  const introduction = { replica: 'a'.repeat(32), key: key.publicKey, proof: 'A'.repeat(43) }
  for (const [presented, reason] of [
    [await token(key.audience, { componentName: 'other' }), /ERR_CALLEE_NOT_PROVED/],
    [await token(key.audience, { componentName: 'callee' }), /ERR_CALLEE_NOT_PROVED/],
    [await token(callAudience('A'.repeat(43)), { componentName: 'callee' }), /ERR_JWT_SVID_UNTRUSTED/],
    ['x', /ERR_JWT_SVID_INVALID/],
  ] as const) {
    using impostor = answering(encodeGreeting({ ...introduction, token: presented }))
    await stranger.flush()
    assert.equal((await caller.get('/who')).status, 500)
    assert.ok(impostor.seen() > 0)
    await eventually(() => {
      const refused = here.records().filter(({ event }) => event === 'call.refused')
      assert.match(String(refused.at(-1)?.reason), reason)
    })
  }
})

/** Answers every greeting to the callee with this. */
function answering(answer: Uint8Array): Disposable & { seen(): number } {
  let seen = 0
  const subscription = stranger.subscribe(callSubject(calleeId), {
    callback: (_, message) => {
      seen += 1
      message.respond(answer)
    },
  })
  return { seen: () => seen, [Symbol.dispose]: () => subscription.unsubscribe() }
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
