import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createBlobstoreCapability } from '../../src/capabilities/blobstore/blobstore-capability.ts'
import { natsContainers } from '../../src/capabilities/blobstore/nats-containers.ts'
import type { Capability } from '../../src/capabilities/capability.ts'
import { createKeyvalueCapability } from '../../src/capabilities/keyvalue/keyvalue-capability.ts'
import { createMessagingCapability } from '../../src/capabilities/messaging/messaging-capability.ts'
import { type OpenOwnLattice, ownLattices } from '../../src/capabilities/own-lattice.ts'
import { natsConnections } from '../../src/cli/nats-connections.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { Lattice } from '../../src/lattice/lattice.ts'
import type { Subject } from '../../src/lattice/subjects.ts'
import { type CapabilityHouse, openCapabilityHouse } from '../capabilities/capability-house.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
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
  let openOwn: OpenOwnLattice
  let blobstore: Capability
  before(async () => {
    callout = cleanup.use(
      await startCalloutHouse({
        jetstream: true,
        policy: {
          grants: [
            { 'spiffe-id': carts, account: 'HERALD', keyvalue: ['carts'] },
            { 'spiffe-id': echo, account: 'HERALD', publish: ['out.>'], subscribe: ['echo.>'] },
            { 'spiffe-id': 'spiffe://example.org/blobs/{name}', account: 'HERALD', blobstore: ['{name}'] },
            { 'spiffe-id': peerId, account: 'HERALD', publish: ['echo.>'], subscribe: ['out.>', 'other.>'] },
          ],
        },
      }),
    )
    const { spire, nats } = callout
    await spire.createEntry({ spiffeId: carts, selectors: ['wasmcloud:component:keyvalue-c'] })
    echoEntry = await spire.createEntry({ spiffeId: echo, selectors: ['wasmcloud:component:messaging-c'] })
    for (const name of ['first', 'second']) {
      const selectors = [`wasmcloud:component:${name}`]
      await spire.createEntry({ spiffeId: `spiffe://example.org/blobs/${name}`, selectors })
    }
    house = await openCapabilityHouse((log) => {
      const authority = cleanup.use(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, clock, log }))
      const svids = cleanup.use(createSvidSource({ authority, clock, log }))
      const connect = natsConnections({ nats: [nats.url] }, { log })
      openOwn = ownLattices({ svids, connect, clock, log })
      // The host itself has no way to NATS here: whatever works is the workload's own.
      const lattice = (): Lattice => assert.fail('the connection of the host was used')
      blobstore = createBlobstoreCapability({ log, clock, fetch, svids, lattice, openOwn, allowedHostPaths: [] })
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

  test('a blobstore reaches the bucket of the grant, and the server keeps it from the others', async () => {
    const create = { replicas: 1, storage: 'memory' } as const
    const containersOf = (componentName: string) =>
      natsContainers(openOwn(componentFacts({ componentName }), { audience: 'nats', spiffeId: undefined }), create)
    await using first = containersOf('first')
    const container = await first.create('first')
    const pieces = [Buffer.alloc(200_000, 7), Buffer.from('end')]
    await container.write('a', async () => pieces.shift())
    await container.write('b', async () => undefined)
    assert.deepEqual((await container.list()).toSorted(), ['a', 'b'])
    const reading = await container.read('a', { start: 199_999, end: 200_003 })
    const read: Uint8Array[] = []
    for (let next = await reading?.next(); next !== undefined; next = await reading?.next()) read.push(next)
    assert.equal(Buffer.concat(read).toString('latin1'), '\u0007end')
    await container.delete('b')
    assert.equal(await container.info('b'), undefined)
    // Whatever its host lets it ask: NATS does not answer.
    await using second = containersOf('second')
    await second.create('second')
    await assert.rejects(second.open('first'), (error) => isHeraldError(error) && /^ERR_LATTICE_/.test(error.code))
    await assert.rejects(second.remove('first'), (error) => isHeraldError(error) && /^ERR_LATTICE_/.test(error.code))
    assert.equal((await container.info('a'))?.size, 200_003)
    await first.remove('first')
    assert.equal(await first.open('first'), undefined)
  })

  test('an entry of wasi:blobstore with nats-audience makes that connection', async () => {
    const entry = { namespace: 'wasi', package: 'blobstore', version: '0.2.0-draft', name: undefined }
    const config = { backend: 'nats', 'nats-audience': 'nats' }
    const before = callout.serviceLog().length
    const facts = componentFacts({ componentName: 'first' })
    const interfaces = ['blobstore', 'container', 'types']
    const binding = await blobstore.configure(facts, [{ ...entry, interfaces, config }], within(20_000))
    await until('it is let in', () =>
      callout.serviceLog().slice(before).includes('"audit.nats.granted","spiffeId":"spiffe://example.org/blobs/first"'),
    )
    binding.release()
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
