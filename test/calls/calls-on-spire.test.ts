// Two hosts on one NATS, each with its own connection to the agent of a real SPIRE, and a third one of another trust domain.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connect, type NatsConnection } from 'nats'
import { CallKey } from '../../src/capabilities/calls/call-key.ts'
import { encodeGreeting } from '../../src/capabilities/calls/greeting-frame.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { createDevelopmentAuthority } from '../../src/identity/development/development-authority.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { createLog } from '../../src/observability/log.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import type { CapabilityHouse, DeployedWorkload } from '../capabilities/capability-house.ts'
import { startNats } from '../support/nats.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { callerInterface, callsEntry, eventually, openCallsHouse } from './calls-house.ts'
import { greetCallee, nonce } from './pretended-caller.ts'

const calleeId = parseSpiffeId('spiffe://example.org/default/callee')
const callerId = parseSpiffeId('spiffe://example.org/default/caller')
const log = createLog({ level: 'silent' })

describe('calls between hosts with identities of SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let stranger: NatsConnection
  let here: CapabilityHouse
  let there: CapabilityHouse
  let foreign: CapabilityHouse
  let caller: DeployedWorkload
  let callee: DeployedWorkload
  const entryIds = new Map<string, string>()

  const createEntry = async (component: string) => {
    const spiffeId = `spiffe://example.org/default/${component}`
    entryIds.set(component, await spire.createEntry({ spiffeId, selectors: [`wasmcloud:component:${component}`] }))
  }
  const deleteEntry = (component: string) => spire.deleteEntry(entryIds.get(component)!)
  const requests = () => callee.handle.status().metrics[0]?.requests
  const told = (house: CapabilityHouse, event: string) => house.records().filter((record) => record.event === event)

  before(async () => {
    const [nats, started] = await Promise.all([startNats(), startSpire({ oidc: false })])
    cleanup.use(nats)
    spire = cleanup.use(started)
    stranger = await connect({ servers: nats.url })
    cleanup.defer(() => stranger.close())
    await Promise.all(['caller', 'callee'].map(createEntry))
    const { url } = nats
    const openHost = async () => {
      const authority = createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock })
      cleanup.use(authority)
      return cleanup.use(await openCallsHouse({ url, authority }))
    }
    here = await openHost()
    there = await openHost()
    const authority = cleanup.use(await createDevelopmentAuthority({ log, clock, inKubernetes: false }))
    foreign = cleanup.use(await openCallsHouse({ url, authority }))
    // Everybody is listed: what is refused below is refused for what it shows.
    const callers = 'callers: "spiffe://example.org/default/*, spiffe://development.local/default/*"'
    callee = await there.deploy({ component: 'callee', interfaces: [callsEntry(callers), callerInterface] })
    caller = await here.deploy({ component: 'caller', interfaces: [callsEntry(`callee: "${calleeId}"`)] })
  })
  after(() => cleanup.disposeAsync())

  test('the callee is told the SPIFFE ID under which SPIRE knows its caller', async () => {
    await eventually(async () =>
      assert.deepEqual(await caller.get('/who'), { status: 200, text: `component ${callerId}` }),
    )
    assert.equal((await caller.get('/echo', { size: '100000' })).text, 'equal')
  })

  test('a host of a trust domain that is not federated is refused', async () => {
    const ran = requests()
    const stray = await foreign.deploy({ component: 'caller', interfaces: [callsEntry(`callee: "${calleeId}"`)] })
    assert.equal((await stray.get('/who')).status, 500)
    assert.equal(requests(), ran)
    assert.equal(told(there, 'audit.calls.denied').at(-1)?.code, 'ERR_JWT_SVID_UNTRUSTED')
  })

  test('tokens that SPIRE has signed for another audience, or whose time is over, are refused', async () => {
    const key = new CallKey()
    const ran = requests()
    const greet = async (audience: string, ttlS: number, waitMs = 0) => {
      const token = await spire.mintJwtSvid({ spiffeId: callerId, audience, ttlS })
      const { exp } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { exp: number }
      if (waitMs > 0) await eventually(() => assert.ok(Date.now() > exp * 1_000))
      return greetCallee(stranger, calleeId, encodeGreeting({ key: key.publicKey, nonce, token }))
    }
    assert.equal(await greet(key.audience, 300), 'met')
    assert.equal(await greet(calleeId, 300), 'denied')
    assert.equal(await greet(new CallKey().audience, 300), 'denied')
    assert.equal(await greet(key.audience, 1, 1), 'denied')
    assert.equal(told(there, 'audit.calls.denied').at(-1)?.code, 'ERR_JWT_SVID_EXPIRED')
    assert.equal(requests(), ran)
  })

  test('a caller whose entry is deleted calls nobody from the moment its host is told, and calls again once it is back', async (t) => {
    assert.equal((await caller.get('/who')).status, 200)
    await deleteEntry('caller')
    await eventually(() => assert.ok(told(here, 'svid.evicted').some(({ spiffeId }) => spiffeId === callerId)))
    const startedMs = performance.now()
    const ran = requests()
    assert.equal((await caller.get('/who')).status, 500)
    assert.equal(requests(), ran)
    t.diagnostic(`refused ${(performance.now() - startedMs).toFixed(1)} ms after the eviction was seen`)
    await createEntry('caller')
    await eventually(async () => assert.equal((await caller.get('/who')).status, 200))
  })

  test('a callee whose entry is deleted is called no more from the moment its host is told, and is again once it is back', async (t) => {
    assert.equal((await caller.get('/who')).status, 200)
    const ran = requests()
    await deleteEntry('callee')
    await eventually(() => assert.equal(told(there, 'call.withdrawn').at(-1)?.callee, calleeId))
    const startedMs = performance.now()
    assert.equal((await caller.get('/who')).status, 503)
    t.diagnostic(`refused ${(performance.now() - startedMs).toFixed(1)} ms after the withdrawal was seen`)
    assert.equal(requests(), ran)
    const refused = told(here, 'call.refused').at(-1)
    assert.equal(refused?.refusal, 'revoked')
    assert.match(String(refused?.reason), /ERR_SPIRE_NO_IDENTITY_ISSUED/)
    const key = new CallKey()
    const token = await spire.mintJwtSvid({ spiffeId: callerId, audience: key.audience })
    assert.equal(await greetCallee(stranger, calleeId, encodeGreeting({ key: key.publicKey, nonce, token })), 'revoked')
    await createEntry('callee')
    await eventually(async () => assert.equal((await caller.get('/who')).status, 200))
    assert.equal(told(there, 'call.restored').length, 1)
  })

  test('no token is in any log', () => {
    for (const house of [here, there, foreign])
      assert.doesNotMatch(JSON.stringify(house.records()), /eyJ[\w-]+\.[\w-]+/)
  })
})
