import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Lattice } from '../../src/lattice/lattice.ts'
import { startHerald } from '../cli/herald-process.ts'
import { until, within } from '../lattice/lattice-test-setup.ts'
import { type CalloutHouse, startCalloutHouse } from './callout-house.ts'

const orders = 'spiffe://example.org/shop/orders'
const billing = 'spiffe://example.org/shop/billing'
const host = 'spiffe://example.org/lattice-host'

describe('a deleted entry ends its connections at the NATS server, whatever the client does', () => {
  let house: CalloutHouse
  before(async () => {
    house = await startCalloutHouse({
      revocation: true,
      cluster: true,
      policy: {
        grants: [
          { 'spiffe-id': 'spiffe://example.org/shop/{component}', account: 'HERALD', publish: ['shop.>'] },
          { 'spiffe-id': host, account: 'HERALD', as: 'host' },
        ],
      },
    })
  })
  after(() => house[Symbol.asyncDispose]())

  const entry = (spiffeId: string) =>
    house.spire.createEntry({ spiffeId, selectors: [`wasmcloud:component:${spiffeId.split('/').at(-1)}`] })
  /** It keeps its token, and watches nothing: as one does who has taken it. */
  async function holder(spiffeId: string) {
    const client = house.client(spiffeId, await house.spire.mintJwtSvid({ spiffeId, audience: 'nats' }))
    const downs: number[] = []
    client.onStateChange(({ kind }) => kind !== 'connected' && downs.push(performance.now()))
    await client.connected(within(20_000))
    return Object.assign(client, { downs })
  }
  const ended = (client: Lattice) => client.state.kind !== 'connected'
  const ends = (spiffeId: string) => house.serviceLog().split(`"audit.nats.ended","spiffeId":"${spiffeId}"`).length - 1

  test('its connection is ended, its valid token is refused from then on, and others go on', async (t) => {
    const entryId = await entry(orders)
    await entry(billing)
    await using thief = await holder(orders)
    await using neighbour = await holder(billing)
    await house.spire.deleteEntry(entryId)
    const deletedMs = performance.now()
    await until('the server ended it', () => ended(thief), 20_000)
    t.diagnostic(`ended ${Math.round(thief.downs[0]! - deletedMs)} ms after the deletion`)
    await until('the service tells it', () => ends(orders) >= 1)
    await until('it is refused, although its token is valid', () =>
      house.serviceLog().includes(`SPIRE has no entry for ${orders} any more`),
    )
    assert.ok(ended(thief))
    assert.deepEqual([neighbour.downs, ends(billing)], [[], 0])
    // With an entry anew the same token is good again.
    await entry(orders)
    await thief.connected(within(20_000))
  })

  test('connections that an earlier service let in are found too', async () => {
    const spiffeId = 'spiffe://example.org/shop/carts'
    const entryId = await entry(spiffeId)
    await using client = await holder(spiffeId)
    await house.killService()
    await house.spire.deleteEntry(entryId)
    assert.ok(!ended(client))
    await house.startService()
    await until('the server ended it', () => ended(client), 20_000)
    await until('the service tells it', () => ends(spiffeId) === 1)
  })

  test('a SPIFFE ID that SPIRE has never had an entry for is refused', async () => {
    const spiffeId = 'spiffe://example.org/shop/minted'
    const token = await house.spire.mintJwtSvid({ spiffeId, audience: 'nats' })
    await using client = house.client(spiffeId, token)
    await until('it is refused', () => house.serviceLog().includes(`SPIRE has no entry for ${spiffeId} any more`))
    assert.ok(ended(client))
  })

  test('a host that loses its entry is off the lattice, and says why', async () => {
    const { spire, nats } = house
    const selectors = [`unix:uid:${process.getuid?.()}`]
    const entryId = await spire.createEntry({ spiffeId: host, parentId: spire.agentSpiffeId, selectors })
    const sockets = ['--spire-admin-socket', spire.adminSocketPath, '--spire-workload-socket', spire.workloadSocketPath]
    const shown = ['--nats', nats.url, '--nats-svid', '--own-spiffe-id', host]
    await using herald = startHerald(['host', ...shown, ...sockets, '--http', '127.0.0.1:0', '--output', 'json'])
    await until(
      'it is connected',
      () => herald.stderr.includes('"event":"lattice.connected","connection":"control"'),
      20_000,
    )
    await spire.deleteEntry(entryId)
    // The server or the host itself, whichever hears of it first.
    await until('it knows why', () => herald.stderr.includes('"event":"audit.nats.revoked"'), 20_000)
    await until('it is off', () => herald.stderr.includes('"event":"lattice.reconnecting"'), 20_000)
  })
})
