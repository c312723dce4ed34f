import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createKeyvalueCapability } from '../../src/capabilities/keyvalue/keyvalue-capability.ts'
import { createMessagingCapability } from '../../src/capabilities/messaging/messaging-capability.ts'
import { ownLattices } from '../../src/capabilities/own-lattice.ts'
import { natsConnections } from '../../src/cli/nats-connections.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { Lattice } from '../../src/lattice/lattice.ts'
import type { Subject } from '../../src/lattice/subjects.ts'
import { type CapabilityHouse, openCapabilityHouse } from '../capabilities/capability-house.ts'
import { until, within } from '../lattice/lattice-test-setup.ts'
import { type CalloutHouse, startCalloutHouse } from './callout-house.ts'

const subject = (text: string) => text as Subject
const carts = 'spiffe://example.org/shop/keyvalue-c'
const echo = 'spiffe://example.org/shop/messaging-c'
const peerId = 'spiffe://example.org/peer'

describe('workloads that connect to NATS with their own SVIDs, by real SPIRE and callout', () => {
  const cleanup = new AsyncDisposableStack()
  let callout: CalloutHouse
  let house: CapabilityHouse
  let echoEntry: string
  before(async () => {
    callout = cleanup.use(
      await startCalloutHouse({
        jetstream: true,
        policy: {
          grants: [
            { 'spiffe-id': carts, account: 'HERALD', keyvalue: ['carts'] },
            { 'spiffe-id': echo, account: 'HERALD', publish: ['out.>'], subscribe: ['echo.>'] },
            { 'spiffe-id': peerId, account: 'HERALD', publish: ['echo.>'], subscribe: ['out.>', 'other.>'] },
          ],
        },
      }),
    )
    const { spire, nats } = callout
    await spire.createEntry({ spiffeId: carts, selectors: ['wasmcloud:component:keyvalue-c'] })
    echoEntry = await spire.createEntry({ spiffeId: echo, selectors: ['wasmcloud:component:messaging-c'] })
    house = await openCapabilityHouse((log) => {
      const authority = cleanup.use(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, clock, log }))
      const svids = cleanup.use(createSvidSource({ authority, clock, log }))
      const connect = natsConnections({ nats: [nats.url] }, { log })
      const openOwn = ownLattices({ svids, connect, clock, log })
      // The host itself has no way to NATS here: whatever works is the workload's own.
      const lattice = (): Lattice => assert.fail('the connection of the host was used')
      return [
        createKeyvalueCapability({ log, lattice, openOwn, allowedHostPaths: [] }),
        createMessagingCapability({ log, lattice, openOwn }),
      ]
    })
    cleanup.use(house)
  })
  after(() => cleanup.disposeAsync())

  const keyvalue = (bucket: string) =>
    `{namespace: wasi, package: keyvalue, interfaces: [store, atomics, batch], version: 0.2.0-draft, config: {backend: nats, bucket: ${bucket}, nats-audience: nats}}`
  const messaging = `{namespace: wasmcloud, package: messaging, interfaces: [consumer, handler], version: 0.2.0, config: {subscriptions: "echo.>", publish: "out.> other.>", nats_audience: nats}}`

  test('a keyvalue store reaches the bucket of the grant, and no other', async () => {
    await using guest = await house.deploy({ component: 'keyvalue-c', interfaces: [keyvalue('carts')] })
    const of = (key: string, more = {}) => ({ bucket: 'carts', key, ...more })
    assert.equal((await guest.get('/set', of('a', { value: 'one' }))).status, 200)
    assert.deepEqual(await guest.get('/get', of('a')), { status: 200, text: 'one' })
    assert.equal((await guest.get('/increment', of('n', { delta: '2' }))).text, '2')
    assert.match((await guest.get('/list', { bucket: 'carts' })).text, /"a","n"/)
    assert.equal((await guest.get('/delete', of('a'))).status, 200)
    assert.ok(callout.serviceLog().includes(`"audit.nats.granted","spiffeId":"${carts}"`))
    await using thief = await house.deploy({
      component: 'keyvalue-c',
      name: 'thief',
      interfaces: [keyvalue('others')],
    })
    assert.notEqual((await thief.get('/set', { bucket: 'others', key: 'a', value: 'x' })).status, 200)
  })

  test('messages come and go by the grant of the component, and end when its entry is deleted', async () => {
    const token = await callout.spire.mintJwtSvid({ spiffeId: peerId, audience: 'nats' })
    await using peer = callout.client(peerId, token)
    await peer.connected(within(20_000))
    await using guest = await house.deploy({ component: 'messaging-c', interfaces: [messaging] })
    const ask = () =>
      peer.request(subject('echo.one'), Buffer.from('hello'), { timeoutMs: 5_000 }).then(
        (answer) => Buffer.from(answer).toString(),
        (error: { code?: string }) => error.code,
      )
    await untilAnswer('it answers', ask, 'echo hello')
    const heard: string[] = []
    await using _ = peer.subscribe(subject('out.>'), { handle: ({ subject }) => void heard.push(subject) })
    await using _2 = peer.subscribe(subject('other.>'), { handle: ({ subject }) => void heard.push(subject) })
    await peer.flush(within(10_000))
    // The manifest allows both; the grant only the first, and NATS counts.
    await guest.get('/publish', { subject: 'other.x', body: '1' })
    await guest.get('/publish', { subject: 'out.x', body: '1' })
    await until('what is granted arrives', () => heard.length > 0)
    assert.deepEqual(heard, ['out.x'])
    await callout.spire.deleteEntry(echoEntry)
    await untilAnswer('nobody answers', ask, 'ERR_LATTICE_NO_RESPONDERS')
    assert.ok(house.records().some(({ event }) => event === 'audit.nats.revoked'))
  })
})

async function untilAnswer(what: string, ask: () => Promise<string | undefined>, wanted: string): Promise<void> {
  const limit = AbortSignal.timeout(30_000)
  let last: string | undefined
  while (last !== wanted) {
    if (limit.aborted) throw new Error(`waited in vain until ${what}: ${last}`)
    last = await ask()
    if (last !== wanted) await clock.sleep(50)
  }
}
