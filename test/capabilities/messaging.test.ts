import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connect, headers, type Msg, type NatsConnection } from 'nats'
import { createMessagingCapability } from '../../src/capabilities/messaging/messaging-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { connectLattice } from '../../src/lattice/connect-lattice.ts'
import type { FinishedSpan } from '../../src/observability/span.ts'
import { Tracer } from '../../src/observability/tracer.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { type CapabilityHouse, type HouseWorkload, openCapabilityHouse } from './capability-house.ts'

const cleanup = new AsyncDisposableStack()
let house: CapabilityHouse
let nats: Nats
/** Another program on the same NATS. */
let peer: NatsConnection
const spans: FinishedSpan[] = []
const tracer = new Tracer({ parentBased: true, ratio: 1 }, (finished) => spans.push(...finished))

before(async () => {
  nats = cleanup.use(await startNats())
  peer = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  cleanup.defer(() => peer.close())
  house = await openCapabilityHouse((log) => {
    const lattice = connectLattice({
      servers: [nats.url],
      name: 'messaging',
      log,
      clock: systemClock,
      drainTimeoutMs: 100,
    })
    cleanup.use(lattice)
    return [createMessagingCapability({ log, lattice: () => lattice, tracer })]
  })
  cleanup.use(house)
})
after(() => cleanup.disposeAsync())

const entry = (config: string, { interfaces = 'consumer, handler', name = '' } = {}) =>
  `{namespace: wasmcloud, package: messaging, interfaces: [${interfaces}], version: 0.2.0, ${name && `name: ${name}, `}config: {${config}}}`

async function deploy(config: string, options: Partial<HouseWorkload> = {}) {
  const guest = await house.deploy({ component: 'messaging-c', interfaces: [entry(config)], ...options })
  // Subscriptions are on their way when it is deployed.
  await new Promise((resolve) => setTimeout(resolve, 100))
  return guest
}

const ask = async (subject: string, body: string) => (await peer.request(subject, body, { timeout: 5000 })).string()

/** Collects what is published on a subject, until it is disposed. */
async function listen(subject: string) {
  const messages: Msg[] = []
  const subscription = peer.subscribe(subject, { callback: (_, message) => void messages.push(message) })
  await peer.flush()
  return { messages, [Symbol.dispose]: () => subscription.unsubscribe() }
}

test('a component answers who asks on a subject it subscribes to', async () => {
  await using _ = await deploy('subscriptions: "echo.>"')
  assert.equal(await ask('echo.one', 'hello'), 'echo hello')
  assert.equal(await ask('echo.two.three', ''), 'echo ')
  await assert.rejects(peer.request('other.one', 'hello', { timeout: 2000 }), /503/)
})

test('bodies are bytes and may be large', async () => {
  await using _ = await deploy('subscriptions: large')
  const body = Buffer.alloc(60_000, 'x')
  assert.equal((await peer.request('large', body, { timeout: 5000 })).data.length, body.length + 5)
})

test('the component’s own configuration of subscriptions counts more than the entry’s', async () => {
  await using _ = await deploy('subscriptions: entry.subject', { config: { subscriptions: 'own.subject' } })
  assert.equal(await ask('own.subject', 'x'), 'echo x')
  await assert.rejects(peer.request('entry.subject', 'x', { timeout: 2000 }), /503/)
})

test('of replicas with one queue group one gets each message, and all take part', async () => {
  await using _ = await deploy('subscriptions: work, publish: "done.>"', { replicas: 3 })
  using done = await listen('done.>')
  for (let index = 0; index < 300; index++) peer.publish('work', `forward done.${index}`)
  await eventually(() => assert.equal(done.messages.length, 300))
  assert.equal(new Set(done.messages.map(({ subject }) => subject)).size, 300)
})

test('with consumer_group: broadcast every replica gets each message', async () => {
  await using _ = await deploy('subscriptions: news, publish: seen, consumer_group: broadcast', { replicas: 3 })
  using seen = await listen('seen')
  for (let index = 0; index < 20; index++) peer.publish('news', 'forward seen')
  await eventually(() => assert.equal(seen.messages.length, 60))
})

test('several named entries are subscriptions of their own', async () => {
  await using _ = await deploy('', {
    interfaces: [
      entry('subscriptions: one.a', { name: 'one' }),
      entry('subscriptions: two.b, consumer_group: broadcast', { name: 'two' }),
    ],
  })
  assert.equal(await ask('one.a', '1'), 'echo 1')
  assert.equal(await ask('two.b', '2'), 'echo 2')
})

test('a component publishes and asks where its entry allows it', async () => {
  await using guest = await deploy('publish: "orders.*, billing.request"')
  using orders = await listen('orders.created')
  assert.equal((await guest.get('/publish', { subject: 'orders.created', body: 'first' })).status, 200)
  await eventually(() => assert.equal(orders.messages[0]?.string(), 'first'))
  const billing = peer.subscribe('billing.request', {
    callback: (_, message) => message.respond(`paid ${message.string()}`),
  })
  await peer.flush()
  assert.deepEqual(await guest.get('/request', { subject: 'billing.request', body: '7', timeout: '3000' }), {
    status: 200,
    text: 'paid 7',
  })
  billing.unsubscribe()
  await peer.flush()
  const nobody = await guest.get('/request', { subject: 'billing.request', body: '7', timeout: '3000' })
  assert.deepEqual(nobody, { status: 502, text: 'nobody listens to this subject' })
  const silent = peer.subscribe('orders.slow')
  await peer.flush()
  const slow = await guest.get('/request', { subject: 'orders.slow', body: '7', timeout: '100' })
  assert.deepEqual(slow, { status: 502, text: 'no answer in time' })
  silent.unsubscribe()
})

for (const subject of [
  'other.subject',
  'orders.*',
  'orders.>',
  'orders',
  'orders.a.b',
  'orders.a b',
  'orders.a\r\nPUB x 1',
  'orders.',
  '.orders',
  '',
  '*.a',
  '$SYS.REQ.SERVER.PING',
  '$JS.API.STREAM.LIST',
  '_INBOX.guess.1',
  'runtime.host.h1.workload.stop',
  'herald.host.h1.drain',
  `orders.${'x'.repeat(600)}`,
]) {
  test(`a component may not publish to ${JSON.stringify(subject.slice(0, 40))}`, async () => {
    await using guest = await deploy('publish: "orders.*"')
    using all = await listen('>')
    for (const path of ['/publish', '/request']) {
      const { status, text } = await guest.get(path, { subject, body: 'x', timeout: '100' })
      assert.equal(status, 502)
      assert.match(text, /is not allowed/)
    }
    await peer.flush()
    assert.deepEqual(
      all.messages.map(({ subject }) => subject),
      [],
    )
  })
}

test('a reply-to is one where the component could publish or listens, and no other', async () => {
  await using guest = await deploy('publish: "orders.*", subscriptions: answers')
  using orders = await listen('orders.new')
  assert.equal((await guest.get('/publish', { subject: 'orders.new', body: 'x', 'reply-to': 'answers' })).status, 200)
  await eventually(() => assert.equal(orders.messages[0]?.reply, 'answers'))
  for (const replyTo of ['runtime.host.h.workload.stop', '_INBOX.x', 'elsewhere']) {
    const { text } = await guest.get('/publish', { subject: 'orders.new', body: 'x', 'reply-to': replyTo })
    assert.match(text, /^reply-to: the subject .* is not allowed/)
  }
})

test('who asks cannot make the component publish where it may not', async () => {
  await using _ = await deploy('subscriptions: trick')
  using stolen = await listen('runtime.>')
  peer.publish('trick', 'x', { reply: 'runtime.host.h1.workload.stop' })
  assert.equal(await ask('trick', 'y'), 'echo y')
  await peer.flush()
  assert.equal(stolen.messages.length, 0)
})

test('an error of the handler is logged with its text, and the component goes on', async () => {
  await using _ = await deploy('subscriptions: faults')
  peer.publish('faults', 'fail')
  peer.publish('faults', 'trap')
  assert.equal(await ask('faults', 'after'), 'echo after')
  await eventually(() => {
    const found = house.records().filter(({ event }) => event === 'messaging.handler_failed')
    assert.ok(found.length > 0)
  })
})

test('a flood beyond what may wait is counted as lost or given to others, and the component goes on', async () => {
  await using _ = await deploy('subscriptions: flood, publish: out, max_in_flight: "8", max_waiting: "50"')
  using out = await listen('out')
  for (let index = 0; index < 5000; index++) peer.publish('flood', 'forward out')
  await peer.flush()
  await eventually(async () => assert.equal(await ask('flood', 'after'), 'echo after'))
  assert.ok(out.messages.length >= 50, `${out.messages.length} handled`)
})

test('messages in flight are finished when the workload is stopped, and none comes after', async () => {
  const guest = await deploy('subscriptions: ending, publish: out2')
  using out = await listen('out2')
  for (let index = 0; index < 100; index++) peer.publish('ending', 'forward out2')
  await peer.flush()
  await eventually(() => assert.ok(out.messages.length > 0))
  await guest.handle.stop({ drainTimeoutMs: 5000 })
  await eventually(() => assert.equal(out.messages.length, 100))
  await assert.rejects(peer.request('ending', 'x', { timeout: 2000 }), /503/)
})

test('after NATS was away it listens again', async () => {
  await using _ = await deploy('subscriptions: back')
  await nats.kill()
  await nats.restart()
  await eventually(async () => assert.equal(await ask('back', 'x'), 'echo x'))
})

test('it is refused to a workload that does not list it, or not the handler', async () => {
  const denied = (error: unknown) => isHeraldError(error, 'ERR_WORKLOAD_IMPORT_DENIED')
  await assert.rejects(house.deploy({ component: 'messaging-c' }), denied)
  const interfaces = [entry('publish: a', { interfaces: 'consumer' })]
  await assert.rejects(house.deploy({ component: 'messaging-c', interfaces }), denied)
})

for (const wrong of [
  'subscriptions: ">"',
  'subscriptions: "*.a"',
  'subscriptions: "$SYS.>"',
  'subscriptions: "_INBOX.>"',
  'subscriptions: "runtime.>"',
  'subscriptions: herald.hosts',
  'subscriptions: "a..b"',
  'publish: ">"',
  'consumer_group: "a b"',
  'max_in_flight: "0"',
  'topics: a',
]) {
  test(`it is refused with ${wrong}`, async () => {
    await assert.rejects(deploy(wrong), (error) => isHeraldError(error, 'ERR_CAPABILITY_CONFIG'))
  })
}

async function eventually(check: () => void | Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await check()
    } catch (error) {
      if (tries > 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

const sender = '00f067aa0ba902b7'
/** Has the component send on what it gets, with these headers. @returns the headers that came out */
async function forwarded(fields: Readonly<Record<string, readonly string[]>>, subject: string) {
  using out = await listen(subject)
  const sent = headers()
  for (const [name, values] of Object.entries(fields)) for (const value of values) sent.append(name, value)
  peer.publish('traced.in', `forward ${subject}`, { headers: sent })
  await eventually(() => assert.equal(out.messages.length, 1))
  const { headers: got } = out.messages[0]!
  return { traceparent: got?.get('traceparent') ?? '', tracestate: got?.get('tracestate') ?? '' }
}

test('a trace leads from the headers of a message through its handler to what that publishes', async () => {
  await using _ = await deploy('subscriptions: "traced.>", publish: "traces.*"', { name: 'traced' })
  const trace = '0af7651916cd43dd8448eb211c80319c'
  const got = await forwarded({ traceparent: [`00-${trace}-${sender}-01`], tracestate: ['vendor=1'] }, 'traces.out')
  tracer.flush()
  await eventually(() => {
    tracer.flush()
    assert.equal(spans.filter(({ traceId }) => traceId === trace).length, 2)
  })
  const [handled, published] = spans
    .filter(({ traceId }) => traceId === trace)
    .toSorted((a, b) => a.kind.localeCompare(b.kind))
  const component = {
    ...{ 'herald.workload.namespace': 'shop', 'herald.workload.name': 'traced' },
    ...{ 'herald.component.name': 'messaging-c', 'messaging.system': 'nats' },
  }
  assert.deepEqual(
    [handled, published].map((span) => [span?.name, span?.kind, span?.parentSpanId, span?.error, span?.attributes]),
    [
      [
        'process traced.>',
        'consumer',
        sender,
        undefined,
        {
          ...component,
          'messaging.operation.type': 'process',
          'messaging.destination.template': 'traced.>',
          'messaging.consumer.group.name': 'herald.shop.traced.messaging-c',
        },
      ],
      [
        'send traces.*',
        'producer',
        handled?.spanId,
        undefined,
        { ...component, 'messaging.operation.type': 'send', 'messaging.destination.template': 'traces.*' },
      ],
    ],
  )
  assert.deepEqual(got, { traceparent: `00-${trace}-${published?.spanId}-01`, tracestate: 'vendor=1' })
})

test('a trace leads from an HTTP request through a question over NATS to its handler', async () => {
  await using guest = await deploy('subscriptions: "traced.*", publish: "traced.*"', { name: 'traced' })
  const trace = '3af7651916cd43dd8448eb211c80319c'
  const path = '/request?subject=traced.ask&body=hello&timeout=10000'
  const headers = { traceparent: `00-${trace}-${sender}-01` }
  assert.equal((await guest.send('GET', path, undefined, { headers })).text, 'echo hello')
  const found = () => {
    tracer.flush()
    return spans.filter(({ traceId }) => traceId === trace).toSorted((a, b) => a.startMs - b.startMs)
  }
  await eventually(() => assert.equal(found().length, 2))
  const [asked, handled] = found()
  assert.deepEqual(
    [asked?.name, asked?.kind, asked?.parentSpanId, handled?.name, handled?.kind, handled?.parentSpanId],
    ['request traced.*', 'client', sender, 'process traced.*', 'consumer', asked?.spanId],
  )
})

test('what a sender does not want sampled makes no span, and is passed on', async () => {
  await using _ = await deploy('subscriptions: "traced.>", publish: "traces.*"', { name: 'traced' })
  const trace = '1af7651916cd43dd8448eb211c80319c'
  const { traceparent } = await forwarded({ traceparent: [`00-${trace}-${sender}-00`] }, 'traces.unsampled')
  assert.match(traceparent, new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`))
  tracer.flush()
  assert.ok(!spans.some(({ traceId }) => traceId === trace))
})

test('a context that a sender made up to do harm is none: a trace of its own begins', async () => {
  await using _ = await deploy('subscriptions: "traced.>", publish: "traces.*"', { name: 'traced' })
  const trace = '2af7651916cd43dd8448eb211c80319c'
  const valid = `00-${trace}-${sender}-01`
  for (const hostile of [
    [`00-${'0'.repeat(32)}-${sender}-01`],
    [`00-${trace}-${'0'.repeat(16)}-01`],
    [`ff-${trace}-${sender}-01`],
    [valid.toUpperCase()],
    [`${valid}${'x'.repeat(20_000)}`],
    [valid, valid],
    ['<script>'],
  ]) {
    const { traceparent, tracestate } = await forwarded({ traceparent: hostile, tracestate: ['x'] }, 'traces.hostile')
    assert.match(traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    assert.ok(!traceparent.includes(trace), traceparent)
    assert.equal(tracestate, '')
  }
  const { tracestate } = await forwarded({ traceparent: [valid], tracestate: ['y'.repeat(513)] }, 'traces.state')
  assert.equal(tracestate, '', 'a state that is longer than the specification has it is dropped')
})
