import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { CellBinding } from '../../src/capabilities/capability.ts'
import { createIdentityCapability } from '../../src/capabilities/identity/identity-capability.ts'
import { openCapability } from '../../src/capabilities/identity/identity-cell.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'
import type { IdentityAuditEvent } from '../../src/identity/audit.ts'
import { createDevelopmentAuthority } from '../../src/identity/development/development-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { createLog } from '../../src/observability/log.ts'
import { componentFacts } from './component-facts-sample.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { StandInAuthority } from './stand-in-authority.ts'

const gateway = 'spiffe://example.org/default/api-gateway'
const signal = new AbortController().signal

function entry(config: Record<string, string>, overrides: Partial<HostInterface> = {}): HostInterface {
  return {
    namespace: 'wasmcloud',
    package: 'identity',
    version: '0.0.1',
    interfaces: ['store'],
    name: undefined,
    config,
    ...overrides,
  }
}

type Store = { get(audience: string): string | Promise<string> }

/** A cell on this thread, joined to the binding as the engine joins them: by structured clone. */
function openCell(binding: CellBinding, clock: FakeClock) {
  let listener: (message: unknown) => void = () => {}
  const requests: string[] = []
  binding.attach((message) => listener(structuredClone(message)))
  const capability = openCapability(
    binding.config,
    {
      async request(method, payload, options) {
        requests.push(method)
        return structuredClone(await binding.handle(method, structuredClone(payload), options))
      },
      onMessage: (added) => (listener = added),
    },
    clock,
  )
  const store = capability.prepare({ signal })['wasmcloud:identity/store'] as Store
  return { store, requests }
}

async function setUp(config: Record<string, string> = { audiences: 'a, b' }) {
  const clock = new FakeClock(1_800_000_000_000)
  const authority = await StandInAuthority.create(clock)
  const lines: string[] = []
  const log = createLog({ level: 'trace', destination: { write: (line) => lines.push(line) } })
  const svids = createSvidSource({ authority, clock, log, random: () => 0.5 })
  const events: IdentityAuditEvent[] = []
  const capability = createIdentityCapability({ svids, clock, log, audit: (event) => events.push(event) })
  await capability.start({ signal })
  const binding = await capability.configure(componentFacts(), [entry(config)], { signal })
  const kinds = (): string[] =>
    events.map((event) =>
      event.kind === 'delivered' || event.kind === 'refused' ? `${event.kind} ${event.count}` : event.kind,
    )
  const dispose = async (): Promise<void> => {
    await capability[Symbol.asyncDispose]()
    await svids[Symbol.asyncDispose]()
  }
  return {
    clock,
    authority,
    capability,
    binding,
    events,
    kinds,
    lines,
    ...openCell(binding, clock),
    [Symbol.asyncDispose]: dispose,
  }
}

async function refusal(answer: () => string | Promise<string>): Promise<unknown> {
  try {
    await answer()
  } catch (error) {
    return (error as { payload: unknown }).payload
  }
  assert.fail('it was not refused')
}

test('the first get waits for the authority; from then on it answers without a promise', async () => {
  await using it = await setUp()
  const first = it.store.get('a')
  assert.ok(first instanceof Promise)
  const token = await first
  assert.match(token, /^eyJ/)
  assert.equal(it.store.get('a'), token)
  assert.equal(it.store.get('a'), token)
  assert.equal(it.authority.calls.length, 1)
  assert.deepEqual(it.requests, ['get'])
})

test('an audience that is not allowed is refused with what to do, without a call to the authority, and audited', async () => {
  await using it = await setUp()
  const payload = (await refusal(() => it.store.get('c'))) as { tag: string; val: string }
  assert.equal(payload.tag, 'other')
  assert.match(payload.val, /"c" is not allowed: add it to "audiences"/)
  for (const audience of ['', 'A', 'a ', 'a,b', 'a, b', '*', 'x'.repeat(5_000_000), '\ud800']) {
    const { tag, val } = (await refusal(() => it.store.get(audience))) as { tag: string; val: string }
    assert.equal(tag, 'other')
    assert.ok(val.length < 1_000)
  }
  await settle()
  assert.equal(it.authority.calls.length, 0)
  assert.deepEqual(it.kinds(), Array(9).fill('refused 1'))
  assert.ok(
    it.events.every(
      (event) => event.kind === 'refused' && event.code === 'ERR_AUDIENCE_NOT_ALLOWED' && event.audience!.length <= 200,
    ),
  )
})

test('a guest that asks for ten thousand audiences fills neither the memory nor the audit', async () => {
  await using it = await setUp()
  for (let n = 0; n < 10_000; n++) await refusal(() => it.store.get(`audience-${n}`))
  await settle()
  assert.equal(it.requests.length, 32)
  await it.clock.advance(10_000)
  assert.deepEqual(it.kinds().slice(-2), ['refused 1', 'refused 9968'])
})

test('the control thread does not trust the cell: it knows only the slots of the allow-list', async () => {
  await using it = await setUp()
  for (const payload of [2, -1, 0.5, '0', 'a', null, {}, Number.NaN]) {
    await assert.rejects(it.binding.handle('get', payload, { signal }), TypeError)
  }
  await assert.rejects(it.binding.handle('tokens', 0, { signal }), TypeError)
  assert.equal(it.authority.calls.length, 0)
})

const answers: [HeraldError, unknown][] = [
  [new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'SECRET'), { tag: 'not-found' }],
  [
    new HeraldError('ERR_SPIRE_UNREACHABLE', 'SECRET'),
    { tag: 'io', val: 'the identity authority cannot be reached: try again later' },
  ],
  [
    new HeraldError('ERR_SPIRE_DELEGATE_UNAUTHORIZED', 'SECRET'),
    { tag: 'other', val: 'this host is not authorised to obtain identities: its operator must authorise it' },
  ],
  [
    new HeraldError('ERR_SPIRE_HOST_UNREGISTERED', 'SECRET'),
    { tag: 'other', val: 'this host is not authorised to obtain identities: its operator must authorise it' },
  ],
  [
    new HeraldError('ERR_SPIRE_WRONG_SOCKET', 'SECRET'),
    { tag: 'other', val: 'the host could not obtain a valid identity: ask its operator (ERR_SPIRE_WRONG_SOCKET)' },
  ],
]
for (const [error, expected] of answers) {
  test(`${error.code} reaches the guest as ${JSON.stringify(expected)} and the audit with its reason`, async () => {
    await using it = await setUp()
    it.authority.answer = () => error
    assert.deepEqual(await refusal(() => it.store.get('a')), expected)
    assert.deepEqual(await refusal(() => it.store.get('a')), expected)
    assert.ok(!JSON.stringify(await refusal(() => it.store.get('a'))).includes('SECRET'))
    await it.clock.advance(10_000)
    assert.deepEqual(it.kinds(), ['refused 1', 'refused 2'])
    const [event] = it.events
    assert.ok(
      event?.kind === 'refused' && event.code === error.code && event.audience === 'a' && event.reason === 'SECRET',
    )
  })
}

test('several matches: the guest hears what to do, the audit the candidates; the configured spiffe-id settles it', async () => {
  const admin = 'spiffe://example.org/default/admin'
  {
    await using it = await setUp()
    it.authority.answer = () => [gateway, admin]
    const payload = (await refusal(() => it.store.get('a'))) as { tag: string; val: string }
    assert.equal(payload.tag, 'other')
    assert.match(payload.val, /several identities match this component: choose one by "spiffe-id"/)
    assert.ok(!payload.val.includes('spiffe://'))
    const [event] = it.events
    assert.ok(event?.kind === 'refused' && event.reason.includes(gateway) && event.reason.includes(admin))
  }
  {
    await using it = await setUp({ audiences: 'a', 'spiffe-id': admin })
    it.authority.answer = () => [gateway, admin]
    await it.store.get('a')
    assert.ok(it.events[0]?.kind === 'granted' && it.events[0].spiffeId === admin)
  }
})

test('every grant is audited, repeated deliveries as one count, renewal and eviction too, and never the token', async () => {
  await using it = await setUp()
  const token = await it.store.get('a')
  for (let n = 0; n < 1_000; n++) it.store.get('a')
  await it.clock.advance(10_000)
  assert.deepEqual(it.kinds(), ['granted', 'delivered 1000'])
  await it.clock.advance(175_000)
  const renewed = it.store.get('a')
  assert.equal(typeof renewed, 'string', 'the renewed token was pushed to the cell')
  assert.notEqual(renewed, token)
  it.authority.entitle(gateway)
  await settle()
  it.authority.answer = () => new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'no identity issued')
  it.authority.entitle()
  await settle()
  assert.deepEqual(await refusal(() => it.store.get('a')), { tag: 'not-found' })
  assert.deepEqual(it.kinds(), ['granted', 'delivered 1000', 'renewed', 'delivered 1', 'evicted', 'refused 1'])
  const [granted, delivered] = it.events
  assert.ok(granted?.kind === 'granted' && delivered?.kind === 'delivered')
  assert.equal(granted.spiffeId, gateway)
  assert.equal(granted.audience, 'a')
  assert.match(granted.tokenId, /^[0-9a-f]{16}$/)
  assert.equal(delivered.tokenId, granted.tokenId)
  assert.equal(granted.component.component, 'api-gateway')
  assert.ok(!JSON.stringify(it.events).includes('eyJ'))
  assert.ok(!it.lines.join('').includes('eyJ'))
})

test('the cell stops handing out a token at its expiry less the skew, whatever else happens', async () => {
  await using it = await setUp()
  await it.store.get('a')
  it.authority.answer = () => new HeraldError('ERR_SPIRE_UNREACHABLE', 'away')
  await it.clock.advance(289_000)
  assert.equal(typeof it.store.get('a'), 'string')
  await it.clock.advance(1_000)
  assert.deepEqual(((await refusal(() => it.store.get('a'))) as { tag: string }).tag, 'io')
})

test('after release the cell gets nothing more', async () => {
  await using it = await setUp()
  await it.store.get('a')
  it.binding.release()
  it.binding.release()
  assert.deepEqual(await refusal(() => it.store.get('a')), { tag: 'io', val: 'this component is being stopped' })
})

test('an eviction reaches a guest that never lets the event loop turn', { timeout: 30_000 }, async (t) => {
  await using it = await setUp({ audiences: 'a' })
  const worker = new Worker(new URL('./spinning-cell.ts', import.meta.url), { workerData: it.binding.config })
  try {
    const [request] = (await once(worker, 'message')) as [{ method: string; payload: unknown }]
    worker.postMessage(await it.binding.handle(request.method, request.payload, { signal }))
    await once(worker, 'message')
    it.authority.entitle(gateway)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const evictedAt = performance.now()
    it.authority.entitle()
    // Its first call that finds no token asks the control thread; then it stops.
    assert.equal(((await once(worker, 'message')) as [{ method: string }])[0].method, 'get')
    const [end] = (await once(worker, 'message')) as [{ calls: number; sawEviction: boolean }]
    t.diagnostic(
      `it stopped ${(performance.now() - evictedAt).toFixed(1)} ms after the stream's message, after ${end.calls} calls`,
    )
    assert.ok(end.sawEviction)
    assert.ok(end.calls > 1_000)
  } finally {
    await worker.terminate()
  }
})

const refused: [string, readonly HostInterface[], string, RegExp][] = [
  ['no entry', [], 'ERR_IDENTITY_NOT_REQUESTED', /add to hostInterfaces/],
  [
    'two entries',
    [entry({ audiences: 'a' }), entry({ audiences: 'b' })],
    'ERR_IDENTITY_CONFIG_INVALID',
    /more than once/,
  ],
  ['no audiences', [entry({})], 'ERR_IDENTITY_CONFIG_INVALID', /no audiences/],
  ['empty audiences', [entry({ audiences: ' , ' })], 'ERR_IDENTITY_CONFIG_INVALID', /no audiences/],
  ['an unknown key', [entry({ audiences: 'a', audience: 'b' })], 'ERR_IDENTITY_CONFIG_INVALID', /"audience"/],
  [
    'a wrong spiffe-id',
    [entry({ audiences: 'a', 'spiffe-id': 'api-gateway' })],
    'ERR_IDENTITY_CONFIG_INVALID',
    /spiffe-id/,
  ],
  ['an empty spiffe-id', [entry({ audiences: 'a', 'spiffe-id': '' })], 'ERR_IDENTITY_CONFIG_INVALID', /spiffe-id/],
  [
    '65 audiences',
    [entry({ audiences: Array.from({ length: 65 }, (_, n) => n).join() })],
    'ERR_IDENTITY_CONFIG_INVALID',
    /64/,
  ],
  ['an audience of 3 KB', [entry({ audiences: 'x'.repeat(3_000) })], 'ERR_IDENTITY_CONFIG_INVALID', /2048/],
  ['another version', [entry({ audiences: 'a' }, { version: '0.1.0' })], 'ERR_IDENTITY_CONFIG_INVALID', /0\.1\.0/],
  [
    'another interface',
    [entry({ audiences: 'a' }, { interfaces: ['store', 'admin'] })],
    'ERR_IDENTITY_CONFIG_INVALID',
    /admin/,
  ],
]
for (const [what, entries, code, text] of refused) {
  test(`configure refuses ${what} and says what to do`, async () => {
    await using it = await setUp()
    await assert.rejects(it.capability.configure(componentFacts(), entries, { signal }), (error: HeraldError) => {
      assert.equal(error.code, code)
      assert.match(error.describe(), text)
      assert.ok(error.hint)
      return true
    })
  })
}

test('with the development authority a component gets its own identity, on the real clock', async () => {
  const log = createLog({ level: 'silent' })
  await using authority = await createDevelopmentAuthority({ log, clock: systemClock, inKubernetes: false })
  await using svids = createSvidSource({ authority, clock: systemClock, log })
  await using capability = createIdentityCapability({ svids, clock: systemClock, log })
  const binding = await capability.configure(componentFacts(), [entry({ audiences: 'sts.amazonaws.com' })], { signal })
  const answer = (await binding.handle('get', 0, { signal })) as { kind: string; token: string }
  assert.equal(answer.kind, 'granted')
  const claims = JSON.parse(Buffer.from(answer.token.split('.')[1]!, 'base64url').toString())
  assert.equal(claims.sub, 'spiffe://development.local/default/api-gateway')
})
