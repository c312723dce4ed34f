import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { CellBinding } from '../../src/capabilities/capability.ts'
import type { CredentialsAuditEvent } from '../../src/capabilities/credentials/credentials-audit.ts'
import { createCredentialsCapability } from '../../src/capabilities/credentials/credentials-capability.ts'
import { type GuestCredentials, openCapability } from '../../src/capabilities/credentials/credentials-cell.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { createLog } from '../../src/observability/log.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
import { FakeClock, settle } from '../identity/fake-clock.ts'
import { StandInAuthority } from '../identity/stand-in-authority.ts'

const gateway = 'spiffe://example.org/default/api-gateway'
const signal = new AbortController().signal

function entry(
  name: string | undefined,
  config: Record<string, string>,
  change: Partial<HostInterface> = {},
): HostInterface {
  return {
    namespace: 'herald',
    package: 'credentials',
    version: '0.1.0',
    interfaces: ['store'],
    name,
    config,
    ...change,
  }
}

const ledger = entry('ledger', {
  provider: 'oidc',
  audience: 'https://sso',
  'token-endpoint': 'https://sso.example.org/token',
})
const database = entry('database', {
  provider: 'vault',
  audience: 'https://vault',
  address: 'https://vault.example.org',
  role: 'gateway',
  path: 'database/creds/reader',
})

type Store = { get(binding: string): GuestCredentials | Promise<GuestCredentials> }

function openCell(binding: CellBinding, clock: FakeClock) {
  const requests: string[] = []
  const capability = openCapability(
    binding.config,
    {
      async request(method, payload, options) {
        requests.push(method)
        return structuredClone(await binding.handle(method, structuredClone(payload), options))
      },
      onMessage: () => {},
    },
    clock,
  )
  return { store: capability.prepare({ signal })['herald:credentials/store'] as Store, requests }
}

/** A relying party in memory: counts, and answers what a test says. */
class Party {
  readonly requests: { url: string; body: string; token: string | null }[] = []
  answer: (url: string) => object | number = () => ({
    access_token: `token-${this.requests.length}`,
    token_type: 'Bearer',
    expires_in: 600,
  })
  #gate = Promise.resolve()

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#gate = promise
    return resolve
  }

  readonly fetch = (async (input: string, init: RequestInit) => {
    this.requests.push({ url: input, body: `${init.body}`, token: new Headers(init.headers).get('x-vault-token') })
    await this.#gate
    const answer = this.answer(input)
    if (typeof answer === 'number') return new Response('{"error":"invalid_grant"}', { status: answer })
    return new Response(JSON.stringify(answer))
  }) as typeof fetch

  count(part: string): number {
    return this.requests.filter(({ url }) => url.includes(part)).length
  }
}

async function setUp(entries: readonly HostInterface[] = [ledger]) {
  const clock = new FakeClock(1_800_000_000_000)
  const authority = await StandInAuthority.create(clock)
  const lines: string[] = []
  const log = createLog({ level: 'trace', destination: { write: (line) => lines.push(line) } })
  const svids = createSvidSource({ authority, clock, log, random: () => 0.5 })
  const events: CredentialsAuditEvent[] = []
  const party = new Party()
  const audit = (event: CredentialsAuditEvent) => void events.push(event)
  const capability = createCredentialsCapability({
    svids,
    fetch: party.fetch,
    loopbackEndpoints: false,
    clock,
    log,
    audit,
  })
  await capability.start({ signal })
  const binding = await capability.configure(componentFacts(), entries, { signal })
  return {
    clock,
    authority,
    party,
    capability,
    binding,
    events,
    lines,
    kinds: () => events.map((event) => ('count' in event ? `${event.kind} ${event.count}` : event.kind)),
    ...openCell(binding, clock),
    async [Symbol.asyncDispose]() {
      await capability[Symbol.asyncDispose]()
      await svids[Symbol.asyncDispose]()
    },
  }
}

async function failure(answer: () => unknown): Promise<{ tag: string; val?: string }> {
  try {
    await answer()
  } catch (error) {
    return (error as { payload: { tag: string; val?: string } }).payload
  }
  assert.fail('it was not refused')
}

test('the first get trades the identity; from then on it answers without a promise and without a request', async () => {
  await using it = await setUp()
  const first = it.store.get('ledger')
  assert.ok(first instanceof Promise)
  assert.deepEqual(await first, {
    credential: { tag: 'bearer', val: 'token-1' },
    expiresAt: BigInt(1_800_000_000 + 600),
  })
  assert.deepEqual(it.store.get('ledger'), await first)
  assert.deepEqual([it.party.requests.length, it.requests.length], [1, 1])
  assert.match(it.party.requests[0]?.body ?? '', /subject_token=eyJ/)
  assert.equal(it.authority.calls[0]?.audiences.join(), 'https://sso')
})

test('a hundred first calls at once are one exchange', async () => {
  await using it = await setUp()
  await Promise.all(Array.from({ length: 100 }, () => it.store.get('ledger')))
  assert.equal(it.party.requests.length, 1)
})

test('a binding that the workload does not list is unknown, whatever the guest guesses, and is never asked of anybody', async () => {
  await using it = await setUp()
  for (const name of ['', 'Ledger', 'ledger ', 'default', '__proto__', 'constructor', '0', 'x'.repeat(1_000_000)]) {
    assert.deepEqual(await failure(() => it.store.get(name)), { tag: 'unknown-binding' })
  }
  assert.deepEqual([it.party.requests.length, it.requests.length, it.authority.calls.length], [0, 0, 0])
  await it.clock.advance(10_000)
  assert.deepEqual(it.kinds(), ['unknown-binding 8'])
})

test('a cell that lies about its slot gets nothing', async () => {
  await using it = await setUp()
  for (const payload of [1, -1, 0.5, '0', null, { slot: 0 }, Number.NaN]) {
    await assert.rejects(it.binding.handle('get', payload, { signal }), TypeError)
  }
  assert.equal(it.party.requests.length, 0)
})

test('they are renewed behind the guest, which never waits, before they expire', async () => {
  await using it = await setUp()
  await it.store.get('ledger')
  await it.clock.advance(430_000)
  const due = await it.store.get('ledger')
  assert.deepEqual(due.credential, { tag: 'bearer', val: 'token-1' }, 'the held ones at once')
  await settle()
  assert.equal(it.party.requests.length, 2)
  assert.deepEqual((await it.store.get('ledger')).credential, { tag: 'bearer', val: 'token-2' })
})

test('when renewal fails the held ones are given until shortly before they expire, then the refusal is told', async () => {
  await using it = await setUp()
  await it.store.get('ledger')
  it.party.answer = () => 400
  await it.clock.advance(430_000)
  assert.deepEqual((await it.store.get('ledger')).credential, { tag: 'bearer', val: 'token-1' })
  await settle()
  assert.deepEqual((await it.store.get('ledger')).credential, { tag: 'bearer', val: 'token-1' })
  await it.clock.advance(130_000)
  const { tag, val } = await failure(() => it.store.get('ledger'))
  assert.equal(tag, 'refused')
  assert.match(val ?? '', /invalid_grant.*herald identity explain/)
})

test('when the entry is gone, credentials are evicted together with the identity, at the very next call', async () => {
  await using it = await setUp()
  await it.store.get('ledger')
  it.authority.entitle(gateway)
  await settle()
  it.authority.answer = () => new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'no entry')
  it.authority.entitle()
  await settle()
  assert.deepEqual(await failure(() => it.store.get('ledger')), { tag: 'no-identity' })
  assert.ok(it.kinds().includes('evicted'))
})

test('an entry deleted while an exchange is under way: what the exchange brings is thrown away', async () => {
  await using it = await setUp()
  it.authority.entitle(gateway)
  const release = it.party.hold()
  const waiting = failure(() => it.store.get('ledger'))
  while (it.party.requests.length === 0) await settle()
  it.authority.entitle(gateway)
  await settle()
  it.authority.answer = () => new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'no entry')
  it.authority.entitle()
  await settle()
  release()
  assert.equal((await waiting).tag, 'unavailable')
  assert.deepEqual(await failure(() => it.store.get('ledger')), { tag: 'no-identity' })
  assert.ok(!it.kinds().includes('exchanged'))
})

test('a refusal is held for two seconds, so that a guest in a loop is no load for the relying party', async () => {
  await using it = await setUp()
  it.party.answer = () => 400
  for (let call = 0; call < 50; call++) assert.equal((await failure(() => it.store.get('ledger'))).tag, 'refused')
  assert.equal(it.party.requests.length, 1)
  await it.clock.advance(2_001)
  it.party.answer = () => ({ access_token: 'now', token_type: 'Bearer', expires_in: 60 })
  assert.deepEqual((await it.store.get('ledger')).credential, { tag: 'bearer', val: 'now' })
})

const vaultAnswers = (url: string): object => {
  if (url.endsWith('/login')) return { auth: { client_token: 'hvs.x', lease_duration: 3600 } }
  if (url.endsWith('/renew-self')) return { auth: { client_token: 'hvs.x', lease_duration: 3600 } }
  if (url.endsWith('/leases/renew')) return { lease_duration: 600 }
  if (url.endsWith('/revoke-self')) return {}
  return { lease_id: 'database/creds/reader/1', lease_duration: 600, data: { username: 'v-1', password: 'p' } }
}

test('a lease is prolonged in the background so that the same credentials live on, and is taken back on release', async () => {
  await using it = await setUp([database])
  it.party.answer = vaultAnswers
  const first = await it.store.get('database')
  assert.deepEqual(first.credential, {
    tag: 'secret',
    val: [
      ['username', 'v-1'],
      ['password', 'p'],
    ],
  })
  await it.clock.advance(1_500_000)
  await settle()
  const later = await it.store.get('database')
  assert.deepEqual(later.credential, first.credential)
  assert.ok(later.expiresAt > first.expiresAt)
  assert.equal(it.party.count('/login'), 1)
  assert.ok(it.party.count('/leases/renew') >= 2)
  it.binding.release()
  await settle()
  assert.equal(it.party.count('/revoke-self'), 1)
})

test('a lease revoked from outside is noticed at its renewal: the next call exchanges anew', async () => {
  await using it = await setUp([database])
  it.party.answer = vaultAnswers
  await it.store.get('database')
  it.party.answer = (url) => (url.endsWith('/leases/renew') ? 400 : vaultAnswers(url))
  await it.clock.advance(420_000)
  await settle()
  assert.ok(it.kinds().includes('evicted'))
  it.party.answer = vaultAnswers
  await it.store.get('database')
  assert.equal(it.party.count('/login'), 2)
})

test('two tenants with the same component and binding names share nothing', async () => {
  await using it = await setUp()
  const other = await it.capability.configure(componentFacts({ namespace: 'rival', workloadId: 'w-2' }), [ledger], {
    signal,
  })
  const theirs = openCell(other, it.clock)
  const [mine, yours] = [await it.store.get('ledger'), await theirs.store.get('ledger')]
  assert.notDeepEqual(mine.credential, yours.credential)
  assert.equal(it.party.requests.length, 2)
  other.release()
  assert.deepEqual(it.store.get('ledger'), mine, 'releasing one leaves the other alone')
})

test('neither the log nor any audit event holds a token or a secret', async () => {
  await using it = await setUp([ledger, database])
  it.party.answer = (url) =>
    url.includes('sso') ? { access_token: 'bearer-secret', token_type: 'Bearer', expires_in: 60 } : vaultAnswers(url)
  await it.store.get('ledger')
  await it.store.get('database')
  it.party.answer = () => 400
  await it.clock.advance(700_000)
  await failure(() => it.store.get('ledger'))
  it.binding.release()
  await settle()
  const all = it.lines.join('') + inspect(it.events, { depth: 10 })
  assert.doesNotMatch(all, /eyJ|bearer-secret|hvs\.|v-1/)
  assert.ok(it.kinds().includes('exchanged') && it.kinds().includes('refused'))
})

const refusedEntries: readonly [what: string, entries: readonly HostInterface[], message: RegExp][] = [
  ['no entry', [], /does not list it/],
  ['two entries without a name', [entry(undefined, ledger.config), entry(undefined, ledger.config)], /has no name/],
  ['two entries with one name', [ledger, ledger], /two entries are named "ledger"/],
  ['another version', [entry('a', ledger.config, { version: '9.0.0' })], /version "9.0.0" is not served/],
  ['another interface', [entry('a', ledger.config, { interfaces: ['admin'] })], /no interface "admin"/],
  [
    'a binding to the host itself',
    [entry('a', { ...ledger.config, 'token-endpoint': 'http://127.0.0.1:9000/' })],
    /leads to http:\/\/127/,
  ],
  [
    'a binding to the host itself by https',
    [entry('a', { ...ledger.config, 'token-endpoint': 'https://[::1]/' })],
    /leads to https:/,
  ],
  ['an unknown key', [entry('a', { ...ledger.config, password: 'x' })], /unknown key "password"/],
]
for (const [what, entries, message] of refusedEntries) {
  test(`a workload with ${what} is refused at deploy with the reason`, async () => {
    await assert.rejects(
      setUp(entries),
      (error: HeraldError) => error.code === 'ERR_FEDERATION_BINDING_INVALID' && message.test(error.message),
    )
  })
}
