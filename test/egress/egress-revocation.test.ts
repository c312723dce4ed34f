import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SignAnswer } from '../../src/capabilities/egress/egress-answer.ts'
import type { EgressAuditEvent } from '../../src/capabilities/egress/egress-audit.ts'
import { createEgressCapability } from '../../src/capabilities/egress/egress-capability.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { log } from '../engine/engine-fixture.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
import { FakeClock, settle } from '../identity/fake-clock.ts'
import { StandInAuthority } from '../identity/stand-in-authority.ts'

const gateway = 'spiffe://example.org/default/api-gateway'

async function setUp() {
  const stack = new AsyncDisposableStack()
  const clock = new FakeClock(1_800_000_000_000)
  const authority = await StandInAuthority.create(clock)
  const svids = stack.use(createSvidSource({ authority, clock, log, random: () => 0.5 }))
  const events: EgressAuditEvent[] = []
  const audit = (event: EgressAuditEvent): void => void events.push(event)
  const noFetch = (): never => assert.fail('nothing is to be exchanged')
  const options = { svids, fetch: noFetch, loopbackEndpoints: false, clock, log, audit, gatherMs: 10_000 }
  const capability = stack.use(createEgressCapability(options))
  const signal = new AbortController().signal
  await capability.start({ signal })
  const entry = {
    ...{ namespace: 'herald', package: 'egress', version: '0.1.0', interfaces: ['signing'], name: 'api' },
    config: { host: 'https://api.example.com', 'bearer-audience': 'a' },
  }
  const binding = await capability.configure(componentFacts(), [entry], { signal })
  const head = { method: 'GET', path: '/', headers: [], bodySha256: undefined }
  const sign = async (slot = 0): Promise<SignAnswer> =>
    (await binding.handle('sign', { slot, head }, { signal })) as SignAnswer
  return { clock, authority, events, binding, sign, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('once the entry is gone, the next request is refused, though the token would have lived on', async () => {
  await using it = await setUp()
  assert.equal((await it.sign()).kind, 'signed')
  it.authority.entitle(gateway)
  await settle()
  it.authority.answer = () => new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'no entry')
  it.authority.entitle()
  await settle()
  const answer = await it.sign()
  assert.deepEqual([answer.kind, answer.kind === 'refused' && answer.denied], ['refused', true])
  assert.deepEqual(
    it.events.map(({ kind }) => kind),
    ['exchanged', 'signed', 'evicted', 'refused'],
  )
})

test('many uses are one event at the next gathering', async () => {
  await using it = await setUp()
  for (let n = 0; n < 500; n++) await it.sign()
  await it.clock.advance(10_000)
  assert.deepEqual(
    it.events.map((event) => (event.kind === 'signed' ? event.count : event.kind)),
    ['exchanged', 1, 499],
  )
})

test('a cell that asks for a slot, a method or a path that is not there gets nothing', async () => {
  await using it = await setUp()
  await assert.rejects(it.sign(1), TypeError)
  await assert.rejects(it.sign(-1), TypeError)
  const { signal } = new AbortController()
  await assert.rejects(it.binding.handle('token', { slot: 0 }, { signal }), TypeError)
  const path = { slot: 0, head: { method: 'GET', path: '*', headers: [], bodySha256: undefined } }
  const own = { slot: 0, head: { method: 'GET', path: '/', headers: [['AUTHORIZATION', 'x']], bodySha256: undefined } }
  for (const payload of [path, own]) {
    const answer = (await it.binding.handle('sign', payload, { signal })) as SignAnswer
    assert.equal(answer.kind, 'refused')
  }
})

test('through an outage of the authority requests are signed while the token is valid, and the guest is told to try again after', async () => {
  await using it = await setUp()
  await it.sign()
  it.authority.answer = () => new HeraldError('ERR_SPIRE_UNREACHABLE', 'away')
  await it.clock.advance(230_000)
  assert.equal((await it.sign()).kind, 'signed')
  await it.clock.advance(80_000)
  const answer = await it.sign()
  assert.deepEqual([answer.kind, answer.kind === 'refused' && answer.denied], ['refused', false])
})
