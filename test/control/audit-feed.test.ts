import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'nats'
import { systemClock } from '../../src/clock/clock.ts'
import {
  type AuditEvent,
  auditEvent,
  checkAuditEvent,
  type SunkEvent,
  toAuditEvent,
} from '../../src/control/herald-audit-event.ts'
import { type AuditFeed, createAuditFeed } from '../../src/control/herald-audit-feed.ts'
import { formatMessage, parseMessage } from '../../src/control/proto-json.ts'
import { connectLattice } from '../../src/lattice/connect-lattice.ts'
import { hostOfAudit, parseSubjectToken } from '../../src/lattice/subjects.ts'
import { createLog } from '../../src/observability/log.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { startNats } from '../support/nats.ts'

const log = createLog({ level: 'silent' })
const hostId = parseSubjectToken('h-1', 'the host')
const component = {
  ...{ lattice: 'default', namespace: 'team', workload: 'api', workloadId: 'w1' },
  ...{ component: 'api', imageDigest: 'sha256:00' },
}
const granted = (more: object = {}): SunkEvent => ({
  ...{ kind: 'granted', component, spiffeId: 'spiffe://example.org/api', audience: 'sts.amazonaws.com' },
  ...{ expiresAt: new Date('2030-01-01T00:00:00Z'), tokenId: '0123456789abcdef', ...more },
})
const about = { hostId, run: '00112233445566aa', sequence: 7, atMs: Date.parse('2029-12-31T23:55:00Z') }
const wire = (event: AuditEvent): Record<string, unknown> => JSON.parse(formatMessage(auditEvent, event).toString())
const read = (value: unknown): AuditEvent =>
  checkAuditEvent(parseMessage(auditEvent, Buffer.from(JSON.stringify(value))), hostId)

test('an event keeps its fields over the wire', () => {
  const event = toAuditEvent('identity', granted(), about)
  assert.deepEqual(wire(event), {
    version: 1,
    run: '00112233445566aa',
    sequence: 7,
    at: '2029-12-31T23:55:00.000Z',
    hostId: 'h-1',
    event: 'audit.identity.granted',
    component,
    spiffeId: 'spiffe://example.org/api',
    audience: 'sts.amazonaws.com',
    expiresAt: '2030-01-01T00:00:00.000Z',
    tokenId: '0123456789abcdef',
  })
  assert.deepEqual(read(wire(event)), event)
})

test('a token that got into a text, or a field that is none of the event, does not leave', () => {
  const token = `eyJ${'a'.repeat(40)}.eyJ${'b'.repeat(40)}.${'c'.repeat(80)}`
  const sunk = granted({
    audience: `x ${token}`,
    reason: token,
    tokenId: token,
    credentialId: token,
    token,
    code: token,
  })
  const text = JSON.stringify(wire(toAuditEvent('identity', sunk, about)))
  assert.doesNotMatch(text, /eyJ|aaaa|bbbb|cccc/)
  assert.match(text, /"audience":"x \(token\)"/)
})

for (const [what, change] of [
  ['another version', { version: 2 }],
  ['no version', { version: null }],
  ['an unknown field', { token: 'x' }],
  ['another host than its subject', { hostId: 'h-2' }],
  ['an event that is no name', { event: 'audit.identity.granted\u001b[2J' }],
  ['a longer text', { audience: 'x'.repeat(513) }],
  ['something else than a SPIFFE ID', { spiffeId: 'javascript:alert(1)' }],
  ['a token for a token id', { tokenId: 'eyJhbGciOiJSUzI1NiJ9' }],
  ['a number for a text', { reason: 5 }],
  ['half a character', { reason: '\ud800' }],
  ['a count below zero', { count: -1 }],
  ['no time', { at: null }],
  ['a time that is none', { at: 'yesterday' }],
  ['no object as component', { component: 'api' }],
] as const) {
  test(`an event with ${what} is refused`, () => {
    const value = { ...wire(toAuditEvent('identity', granted(), about)), ...change }
    assert.throws(() => read(value), { code: 'ERR_CONTROL_MESSAGE_INVALID' })
  })
}

test('subjects of audit events are told from all others', () => {
  assert.equal(hostOfAudit('herald.audit.h-1.identity.granted'), 'h-1')
  for (const other of ['herald.audit.h-1', 'herald.audit.h.1.identity.granted', 'herald.logs.x', 'herald.audit.*.a.b'])
    assert.equal(hostOfAudit(other), undefined, other)
})

test('a host remembers the last events only, and what they come to for each component', () => {
  const feed = createAuditFeed({ hostId, clock: systemClock, log, maxRecent: 3 })
  feed.add('identity', granted())
  feed.add('identity', granted({ kind: 'delivered', count: 41 }))
  feed.add('identity', granted({ kind: 'refused', audience: 'other', code: 'ERR_AUDIENCE_NOT_ALLOWED', count: 2 }))
  feed.add('egress', granted({ kind: 'signed', origin: 'https://api.example.com:443', count: 5 }))
  feed.add('calls', granted({ kind: 'called', target: 'team/stock/stock', audience: undefined, count: 9 }))
  assert.deepEqual(
    feed.recent(undefined).map(({ event }) => event),
    ['audit.identity.refused', 'audit.egress.signed', 'audit.calls.called'],
  )
  assert.deepEqual(feed.recent(new Date(Date.now() + 60_000)), [])
  assert.deepEqual(
    feed.activity.of('w1').map(({ kind, target, count, refused }) => [kind, target, count, refused]),
    [
      ['audience', 'sts.amazonaws.com', 42, 0],
      ['audience', 'other', 0, 2],
      ['origin', 'https://api.example.com:443', 5, 0],
      ['component', 'team/stock/stock', 9, 0],
    ],
  )
  assert.equal(feed.activity.of('w1')[0]?.spiffeId, 'spiffe://example.org/api')
  feed.activity.keep(new Set())
  assert.deepEqual(feed.activity.of('w1'), [])
})

test('audiences that a guest makes up do not displace what it was granted, and are bounded', () => {
  const feed = createAuditFeed({ hostId, clock: systemClock, log })
  feed.add('identity', granted())
  for (let n = 0; n < 1_000; n++) feed.add('identity', granted({ kind: 'refused', audience: `made-up-${n}` }))
  feed.add('identity', granted({ audience: 'vault' }))
  const edges = feed.activity.of('w1')
  assert.ok(edges.length <= 128, String(edges.length))
  assert.deepEqual(
    edges.filter(({ count }) => count > 0).map(({ target }) => target),
    ['sts.amazonaws.com', 'vault'],
  )
})

test('while NATS is down events wait in a bounded queue, the oldest are dropped and counted, and the rest come in order', async () => {
  await using nats = await startNats()
  await using reader = { connection: await connect({ servers: nats.url, reconnectTimeWait: 50 }), ...disposing }
  const seen: number[] = []
  reader.connection.subscribe('herald.audit.h-1.identity.granted', {
    callback: (_, message) => void seen.push(Number(message.json<{ sequence: number }>().sequence)),
  })
  await reader.connection.flush()
  const lattice = connectLattice({ servers: [nats.url], name: 'control', log, clock: systemClock })
  await using _lattice = lattice
  await lattice.connected({ signal: AbortSignal.timeout(20_000) })
  const feed: AuditFeed = createAuditFeed({ hostId, clock: systemClock, log, maxQueued: 10 })
  await using _publishing = feed.publishOn(lattice)
  feed.add('identity', granted())
  await until('the first event came', () => seen.length === 1, 30_000)
  await nats.kill()
  await until('the host knows that NATS is gone', () => lattice.state.kind !== 'connected', 30_000)
  for (let n = 0; n < 30; n++) feed.add('identity', granted())
  assert.deepEqual(feed.counts, { published: 1, dropped: 20 })
  await nats.restart()
  await until('what waited is sent', () => feed.counts.published === 11, 30_000)
  feed.add('identity', granted())
  await until('another one is sent', () => feed.counts.published === 12, 30_000)
  assert.equal(feed.counts.dropped, 20)
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  )
})

const disposing = {
  async [Symbol.asyncDispose](this: { connection: { close(): Promise<void> } }) {
    await this.connection.close()
  },
}
