import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportJWK, generateKeyPair } from 'jose'
import { HeraldError } from '../../src/errors/herald-error.ts'
import type { AudienceSvidChange } from '../../src/identity/component-svids.ts'
import { RenewalSchedule } from '../../src/identity/renewal-schedule.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { SvidTuning } from '../../src/identity/svid-tuning.ts'
import { createLog } from '../../src/observability/log.ts'
import { parseJwtBundle } from '../../src/spiffe/jwt-bundle.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { componentFacts } from './component-facts-sample.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { StandInAuthority } from './stand-in-authority.ts'

const gateway = 'spiffe://example.org/default/api-gateway'
const signal = new AbortController().signal
const noIdentity = (): HeraldError => new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'no identity issued')

async function setUp(tuning: Partial<SvidTuning> = {}, random: () => number = () => 0.5) {
  const clock = new FakeClock(1_800_000_000_000)
  const authority = await StandInAuthority.create(clock)
  const lines: string[] = []
  const log = createLog({ level: 'trace', destination: { write: (line) => lines.push(line) } })
  const source = createSvidSource({ authority, clock, log, random, tuning })
  const identity = source.open(componentFacts())
  const changes: AudienceSvidChange[] = []
  identity.onChange((change) => changes.push(change))
  const get = async (audience = 'a') => (await identity.fetchJwtSvid([audience], { signal })).svid
  return {
    clock,
    authority,
    source,
    identity,
    changes,
    get,
    lines,
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}

test('a hundred first calls at once are one call to the authority, and the hundred-and-first none', async () => {
  await using it = await setUp()
  const svids = await Promise.all(Array.from({ length: 100 }, () => it.get()))
  assert.equal(it.authority.calls.length, 1)
  assert.equal(new Set(svids.map((svid) => svid.reveal())).size, 1)
  assert.equal((await it.get()).reveal(), svids[0]!.reveal())
  assert.equal(it.authority.calls.length, 1)
})

test('the order and repetition of audiences make no other token; another set does', async () => {
  await using it = await setUp()
  const first = await it.identity.fetchJwtSvid(['b', 'a'], { signal })
  assert.equal((await it.identity.fetchJwtSvid(['a', 'b', 'a'], { signal })).svid, first.svid)
  assert.deepEqual(
    it.authority.calls.map(({ audiences }) => audiences),
    [['a', 'b']],
  )
  await it.get('a')
  await it.get('a,b')
  assert.equal(it.authority.calls.length, 3)
})

test('components that differ in one fact share nothing; those alike in all of them share', async () => {
  await using it = await setUp()
  await it.get()
  for (const facts of [
    { namespace: 'other' },
    { componentName: 'x' },
    { imageDigest: `sha256:${'00'.repeat(32)}` },
    { hostLabels: { a: 'b' } },
  ]) {
    await it.source.open(componentFacts(facts)).fetchJwtSvid(['a'], { signal })
  }
  assert.equal(it.authority.calls.length, 5)
  await it.source.open(componentFacts({ workloadId: 'another replica' })).fetchJwtSvid(['a'], { signal })
  assert.equal(it.authority.calls.length, 5)
})

test('a caller that gives up leaves the fetch to the others', async () => {
  await using it = await setUp()
  const answer = it.authority.hold()
  const impatient = new AbortController()
  const first = it.identity.fetchJwtSvid(['a'], { signal: impatient.signal })
  const second = it.get()
  impatient.abort(new Error('gone'))
  await assert.rejects(first, /gone/)
  answer()
  assert.equal((await second).spiffeId, gateway)
  assert.equal(it.authority.calls.length, 1)
})

test('callers wait 5 s for a silent authority, then 250 ms; what it delivers later is kept', async () => {
  await using it = await setUp()
  const answer = it.authority.hold()
  const first = it.get()
  first.catch(() => {})
  await it.clock.advance(4_999)
  assert.equal(await Promise.race([first.catch(() => 'refused'), Promise.resolve('waiting')]), 'waiting')
  await it.clock.advance(1)
  await assert.rejects(first, { code: 'ERR_SVID_TIMEOUT' })
  const second = it.get()
  second.catch(() => {})
  await it.clock.advance(250)
  await assert.rejects(second, { code: 'ERR_SVID_TIMEOUT' })
  answer()
  await settle()
  assert.equal((await it.get()).spiffeId, gateway)
  assert.equal(it.authority.calls.length, 1)
})

test('the fetch in the background lasts 40 s, more than the 30 s of an agent without server, and is then begun anew', async () => {
  await using it = await setUp()
  it.authority.hold()
  it.get().catch(() => {})
  await it.clock.advance(39_999)
  it.get().catch(() => {})
  assert.equal(it.authority.calls.length, 1)
  await it.clock.advance(1)
  it.get().catch(() => {})
  await settle()
  assert.equal(it.authority.calls.length, 2)
})

test('it is renewed after about half of its life, in the background, and nobody waits', async () => {
  await using it = await setUp()
  const first = await it.get()
  await it.clock.advance(172_000)
  assert.equal(it.authority.calls.length, 1)
  const answer = it.authority.hold()
  await it.clock.advance(2_000)
  assert.equal(it.authority.calls.length, 2)
  assert.equal((await it.get()).reveal(), first.reveal())
  answer()
  await settle()
  assert.notEqual((await it.get()).reveal(), first.reveal())
  assert.deepEqual(
    it.changes.map(({ kind }) => kind),
    ['renewed'],
  )
  await it.clock.advance(3_600_000)
  assert.equal(it.changes.length, 21)
})

test('renewals spread from 0.4 to 0.75 of the lifetime', async () => {
  for (const [random, atMs] of [
    [0, 120_000],
    [0.999, 224_900],
  ] as const) {
    await using it = await setUp({}, () => random)
    await it.get()
    await it.clock.advance(atMs - 1_000)
    assert.equal(it.authority.calls.length, 1)
    await it.clock.advance(2_000)
    assert.equal(it.authority.calls.length, 2)
  }
})

test('what was issued at once is renewed evenly: no second has more than its share', async () => {
  const schedule = new RenewalSchedule(Math.random)
  const perSecond = new Map<number, number>()
  const reservations = Array.from({ length: 2_000 }, () => schedule.reserve(100_000, 200_000))
  for (const { atMs } of reservations) {
    assert.ok(atMs >= 100_000 && atMs < 200_000)
    const second = Math.floor(atMs / 1000)
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1)
  }
  const worst = Math.max(...perSecond.values())
  assert.ok(worst <= 23, `${worst} in one second, where 20 is even`)
  for (const reservation of reservations) {
    reservation.release()
    reservation.release()
  }
  assert.equal(schedule.reserved, 0)
})

test('through an outage the held token is served until its expiry less the skew, and renewal goes on trying', async () => {
  await using it = await setUp()
  const first = await it.get()
  it.authority.answer = () => new HeraldError('ERR_SPIRE_UNREACHABLE', 'away')
  await it.clock.advance(289_000)
  assert.equal((await it.get()).reveal(), first.reveal())
  assert.ok(it.authority.calls.length > 8, `${it.authority.calls.length} attempts`)
  await it.clock.advance(1_000)
  await assert.rejects(it.get(), { code: 'ERR_SPIRE_UNREACHABLE' })
  it.authority.answer = () => [gateway]
  assert.notEqual((await it.get()).reveal(), first.reveal())
})

test('an agent that answers with the same token again is asked again later, and not in a loop', async () => {
  await using it = await setUp()
  const first = await it.get()
  it.authority.tamper = () => first.reveal()
  await it.clock.advance(280_000)
  assert.equal((await it.get()).reveal(), first.reveal())
  assert.ok(it.authority.calls.length >= 4 && it.authority.calls.length <= 8, `${it.authority.calls.length} calls`)
  assert.equal(it.changes.length, 0)
})

test('a token of a short life that came once more is replaced while it may still be handed out', async () => {
  // The first renewal as early as can be, when an agent still gives the old token, and the second as late as can be.
  const randoms = [0]
  await using it = await setUp({}, () => randoms.shift() ?? 0.999)
  it.authority.jwtLifetimeS = 30
  const first = await it.get()
  it.authority.tamper = (token) => (it.authority.calls.length === 2 ? first.reveal() : token)
  await it.clock.advance(23_900)
  const held = await it.get()
  assert.notEqual(held.reveal(), first.reveal(), 'of 30 s it is handed out for 24')
  assert.equal(it.authority.calls.length, 3)
  assert.deepEqual(
    it.changes.map(({ kind }) => kind),
    ['renewed'],
  )
})

test('an entry that leaves the X.509 stream takes its tokens with it, at once', async () => {
  await using it = await setUp()
  await it.get('a')
  await it.get('b')
  it.authority.entitle(gateway)
  await settle()
  it.authority.answer = noIdentity
  it.authority.entitle()
  await settle()
  assert.deepEqual(
    it.changes.map((change) => [change.kind, change.audiences, change.kind === 'evicted' && change.reason]),
    [
      ['evicted', ['a'], 'entry-gone'],
      ['evicted', ['b'], 'entry-gone'],
    ],
  )
  await assert.rejects(it.get('a'), { code: 'ERR_SPIRE_NO_IDENTITY_ISSUED' })
})

test('a fetch that began before the entry left does not bring the token back', async () => {
  await using it = await setUp()
  await it.get('a')
  it.authority.entitle(gateway)
  await settle()
  const answer = it.authority.hold()
  const late = it.get('b')
  late.catch(() => {})
  await settle()
  it.authority.entitle()
  await settle()
  let served = 0
  it.authority.answer = () => (served++ === 0 ? [gateway] : noIdentity())
  answer()
  await assert.rejects(late, { code: 'ERR_SPIRE_NO_IDENTITY_ISSUED' })
  await assert.rejects(it.get('b'), { code: 'ERR_SPIRE_NO_IDENTITY_ISSUED' })
})

test('a first, empty update evicts nothing when the SVID follows, and asks the authority when it does not', async () => {
  await using it = await setUp()
  await it.get()
  it.authority.entitle()
  await settle()
  it.authority.entitle(gateway)
  await it.clock.advance(5_000)
  assert.equal(it.authority.calls.length, 1)
  it.authority.interrupt()
  it.authority.entitle()
  it.authority.answer = noIdentity
  await it.clock.advance(2_000)
  assert.equal(it.authority.calls.length, 2)
  assert.deepEqual(
    it.changes.map((change) => change.kind === 'evicted' && change.reason),
    ['denied'],
  )
})

test('an interrupted stream evicts nothing, unless the host has lost its right', async () => {
  await using it = await setUp()
  const first = await it.get()
  it.authority.entitle(gateway)
  await settle()
  it.authority.interrupt()
  await it.clock.advance(10_000)
  assert.equal((await it.get()).reveal(), first.reveal())
  assert.equal(it.authority.calls.length, 1)
  const denial = new HeraldError('ERR_SPIRE_DELEGATE_UNAUTHORIZED', 'no delegate')
  it.authority.answer = () => denial
  it.authority.interrupt(denial)
  await it.clock.advance(2_000)
  await assert.rejects(it.get(), { code: 'ERR_SPIRE_DELEGATE_UNAUTHORIZED' })
})

test('a refusal is remembered for a second, and forgotten when the stream shows a new entry', async () => {
  await using it = await setUp()
  it.authority.answer = noIdentity
  for (let call = 0; call < 50; call++) await assert.rejects(it.get(), { code: 'ERR_SPIRE_NO_IDENTITY_ISSUED' })
  assert.equal(it.authority.calls.length, 1)
  await it.clock.advance(1_000)
  await assert.rejects(it.get())
  assert.equal(it.authority.calls.length, 2)
  it.authority.answer = () => [gateway]
  it.authority.entitle(gateway)
  await settle()
  assert.equal((await it.get()).spiffeId, gateway)
})

test('several matches are refused with the candidates, or the configured one is chosen', async () => {
  await using it = await setUp()
  const admin = 'spiffe://example.org/default/admin'
  it.authority.answer = () => [gateway, admin]
  await assert.rejects(it.get(), (error: HeraldError) => {
    assert.equal(error.code, 'ERR_SVID_AMBIGUOUS')
    assert.ok(error.message.includes(gateway) && error.message.includes(admin))
    return true
  })
  const chosen = it.source.open(componentFacts(), { spiffeId: parseSpiffeId(admin) })
  assert.equal((await chosen.fetchJwtSvid(['a'], { signal })).svid.spiffeId, admin)
  const missing = it.source.open(componentFacts(), { spiffeId: parseSpiffeId('spiffe://example.org/x') })
  await assert.rejects(missing.fetchJwtSvid(['a'], { signal }), { code: 'ERR_SVID_SPIFFE_ID_NOT_ISSUED' })
})

test('two entries of one SPIFFE ID are no ambiguity', async () => {
  await using it = await setUp()
  it.authority.answer = () => [gateway, gateway]
  assert.equal((await it.get()).spiffeId, gateway)
})

test('a second SPIFFE ID that begins to match ends the use of the first', async () => {
  await using it = await setUp()
  await it.get()
  it.authority.entitle(gateway)
  await settle()
  it.authority.answer = () => [gateway, 'spiffe://example.org/default/admin']
  it.authority.entitle(gateway, 'spiffe://example.org/default/admin')
  await it.clock.advance(2_000)
  await assert.rejects(it.get(), { code: 'ERR_SVID_AMBIGUOUS' })
})

test('nothing is released that does not verify', async () => {
  await using it = await setUp({ callerWaitMs: 10_000 })
  const right = it.authority.bundle
  const { publicKey } = await generateKeyPair('ES256')
  const stranger = { ...(await exportJWK(publicKey)), kid: 'k1' }
  const cases: [string, () => void][] = [
    ['ERR_JWT_SVID_UNTRUSTED', () => (it.authority.tamper = (token) => token.replace(/.....$/, 'AAAAA'))],
    ['ERR_JWT_SVID_UNTRUSTED', () => (it.authority.claims = { aud: ['b'] })],
    ['ERR_JWT_SVID_UNTRUSTED', () => (it.authority.claims = { sub: 'spiffe://other.org/x' })],
    ['ERR_JWT_SVID_EXPIRED', () => (it.authority.claims = { exp: 1_700_000_000 })],
    ['ERR_JWT_SVID_INVALID', () => (it.authority.claims = { sub: 'api-gateway' })],
    ['ERR_JWT_SVID_INVALID', () => (it.authority.tamper = () => 'x')],
    [
      'ERR_JWT_SVID_UNTRUSTED',
      () =>
        (it.authority.bundle = parseJwtBundle(parseTrustDomain('example.org'), JSON.stringify({ keys: [stranger] }))),
    ],
    [
      'ERR_JWT_SVID_KEY_UNKNOWN',
      () => (it.authority.bundle = parseJwtBundle(parseTrustDomain('example.org'), '{"keys":[]}')),
    ],
  ]
  for (const [code, spoil] of cases) {
    it.authority.claims = {}
    it.authority.tamper = (token) => token
    it.authority.bundle = right
    spoil()
    const answer = it.get()
    answer.catch(() => {})
    await it.clock.advance(6_000)
    await assert.rejects(answer, { code }, spoil.toString())
  }
})

test('a token that overtakes the bundle with its key waits for it', async () => {
  await using it = await setUp()
  const right = it.authority.bundle
  it.authority.bundle = parseJwtBundle(parseTrustDomain('example.org'), '{"keys":[]}')
  const answer = it.get()
  await settle()
  it.authority.bundle = right
  assert.equal((await answer).spiffeId, gateway)
})

test('an answer that does not verify is not asked for again in a loop', async () => {
  await using it = await setUp()
  it.authority.claims = { aud: ['b'] }
  for (let call = 0; call < 50; call++) await assert.rejects(it.get(), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  assert.equal(it.authority.calls.length, 1)
})

test('empty, overlong and malformed audiences never reach the authority', async () => {
  await using it = await setUp()
  for (const audiences of [
    [],
    [''],
    ['a', ''],
    ['x'.repeat(2049)],
    ['\ud800'],
    Array.from({ length: 17 }, (_, n) => `${n}`),
  ]) {
    await assert.rejects(it.identity.fetchJwtSvid(audiences, { signal }), { code: 'ERR_AUDIENCE_INVALID' })
  }
  assert.equal(it.authority.calls.length, 0)
})

test('the number of tokens is bounded: the one not used longest goes', async () => {
  await using it = await setUp({ maxSvids: 3 })
  for (const audience of ['a', 'b', 'c']) await it.get(audience)
  await it.get('a')
  await it.get('d')
  assert.deepEqual(
    it.changes.map((change) => [change.audiences[0], change.kind === 'evicted' && change.reason]),
    [['b', 'capacity']],
  )
})

test('a released component is forgotten: no stream, no timer, no token', async () => {
  const it = await setUp()
  await it.get()
  assert.equal(it.authority.watchers, 1)
  it.identity.release()
  it.identity.release()
  await settle()
  assert.equal(it.authority.watchers, 0)
  assert.equal(it.clock.sleeping, 0)
  await assert.rejects(it.get(), { code: 'ERR_SVID_SOURCE_CLOSED' })
  const again = it.source.open(componentFacts())
  await again.fetchJwtSvid(['a'], { signal })
  assert.equal(it.authority.calls.length, 2)
  await it.source[Symbol.asyncDispose]()
  await settle()
  assert.equal(it.clock.sleeping, 0)
})

test('no log line holds a token', async () => {
  await using it = await setUp()
  await it.get()
  await it.clock.advance(200_000)
  it.authority.entitle(gateway)
  await settle()
  it.authority.entitle()
  await settle()
  assert.ok(it.lines.length >= 2)
  assert.ok(!it.lines.join('').includes('eyJ'))
})
