import { test } from 'node:test'
import { inboxPrefixOf } from '../../src/lattice/subjects.ts'
import { testLattice, until, within } from '../lattice/lattice-test-setup.ts'
import { startCalloutHouse } from './callout-house.ts'

const orders = 'spiffe://example.org/shop/orders'

test('when a server of the cluster goes into lame-duck mode, service and clients move, and new clients are let in', async () => {
  await using house = await startCalloutHouse({
    policy: { grants: [{ 'spiffe-id': orders, account: 'HERALD', publish: ['orders.>'] }] },
    cluster: true,
    natsConfig: () => 'lame_duck_duration: "30s", lame_duck_grace_period: "1s"',
  })
  const other = house.otherNats!
  const token = await house.spire.mintJwtSvid({ spiffeId: orders, audience: 'nats' })
  const client = (servers: readonly string[]) =>
    testLattice(servers[0]!, {
      servers,
      random: () => 0,
      credentials: {
        kind: 'svid',
        ready: async () => {},
        token: () => token,
        inboxPrefix: () => inboxPrefixOf(orders),
      },
    })
  await using early = client([house.nats.url, other.url])
  await early.connected(within(20_000))
  const portOf = (url: string) => url.slice(url.lastIndexOf(':') + 1)
  // The one that the service is on: the last it said it is connected to.
  const served = () => /.*"event":"lattice.connected".*"server":"[^"]*:(\d+)"/s.exec(house.serviceLog())?.[1]
  const [leaving, staying] = served() === portOf(house.nats.url) ? [house.nats, other] : [other, house.nats]
  const pid = Number(/\[(\d+)\]/.exec(leaving.logs())?.[1])
  process.kill(pid, 'SIGUSR2')
  await until('the service moved', () => served() === portOf(staying.url), 20_000)
  await using late = client([staying.url])
  await late.connected(within(20_000))
  await until(
    'who was on the leaving server is on the other',
    () => early.state.kind === 'connected' && portOf(early.state.server) === portOf(staying.url),
    20_000,
  )
})
