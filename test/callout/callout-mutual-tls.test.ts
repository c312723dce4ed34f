import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { inboxPrefixOf, type Subject } from '../../src/lattice/subjects.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { startHerald } from '../cli/herald-process.ts'
import { testLattice, until, within } from '../lattice/lattice-test-setup.ts'
import { type CalloutHouse, calloutSpiffeId, startCalloutHouse } from './callout-house.ts'

const subject = (text: string) => text as Subject
const serverId = 'spiffe://example.org/nats'
const orders = 'spiffe://example.org/shop/orders'
const billing = 'spiffe://example.org/shop/billing'
const operator = 'spiffe://example.org/operator'

describe('NATS in mutual TLS by X.509-SVIDs of a real SPIRE', () => {
  let house: CalloutHouse
  before(async () => {
    house = await startCalloutHouse({
      policy: {
        'max-session-s': 5,
        grants: [
          { 'spiffe-id': 'spiffe://example.org/wasm-host', account: 'HERALD', as: 'host', 'host-id': 'host-1' },
          { 'spiffe-id': operator, account: 'HERALD', as: 'operator' },
          { 'spiffe-id': orders, account: 'HERALD', publish: ['orders.>'], subscribe: ['orders.>'] },
        ],
      },
      async natsConfig(spire) {
        const { certFile, keyFile, bundleFile } = await spire.mintX509Svid({ spiffeId: serverId })
        return `tls { cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${bundleFile}", verify: true }`
      },
      serviceArgs: () => ['--nats-svid-tls', '--nats-server-id', serverId],
    })
  })
  after(() => house[Symbol.asyncDispose]())

  async function client(spiffeId: string, { token, expects = serverId }: { token?: string; expects?: string } = {}) {
    const files = await house.spire.mintX509Svid({ spiffeId })
    const read = (file: string) => () => readFileSync(file, 'utf8')
    const inboxPrefix = () => inboxPrefixOf(spiffeId)
    return testLattice(house.nats.url, {
      credentials: {
        kind: 'svid',
        ready: async () => {},
        inboxPrefix,
        ...(token !== undefined && { token: () => token }),
      },
      tls: {
        svid: {
          cert: read(files.certFile),
          key: read(files.keyFile),
          ca: read(files.bundleFile),
          serverId: parseSpiffeId(expects),
        },
      },
    })
  }

  test('the certificate alone lets a workload in, with the subjects of its SPIFFE ID', async () => {
    await using workload = await client(orders)
    await workload.connected(within(20_000))
    const heard: string[] = []
    await using _ = workload.subscribe(subject('orders.>'), { handle: ({ subject }) => void heard.push(subject) })
    workload.publish(subject('orders.new'), Buffer.from('1'))
    await until('it arrived', () => heard.length === 1)
    assert.ok(
      /"audit.nats.granted","spiffeId":"spiffe:\/\/example.org\/shop\/orders","by":"x509"/.test(house.serviceLog()),
    )
  })

  test('a certificate of nobody in the policy, and one beside another’s token, are refused', async () => {
    await using stranger = await client(billing)
    await until('the stranger is refused', () =>
      house.serviceLog().includes(`no grant of the policy is for ${billing}`),
    )
    const token = await house.spire.mintJwtSvid({ spiffeId: operator, audience: 'nats' })
    await using thief = await client(orders, { token })
    await until('the thief is refused', () =>
      house.serviceLog().includes(`the token is of ${operator}, the certificate of ${orders}`),
    )
    assert.deepEqual([stranger.state.kind, thief.state.kind], ['connecting', 'connecting'])
  })

  test('a server with another SPIFFE ID than the expected is not spoken to', async () => {
    await using careful = await client(orders, { expects: 'spiffe://example.org/other-nats' })
    await until('the client says why', () =>
      careful.events().some(({ msg }) => String(msg).includes(`the server has ${serverId}, not`)),
    )
    assert.notEqual(careful.state.kind, 'connected')
    assert.ok(!careful.events().some(({ event }) => event === 'lattice.connected'))
  })

  test('herald host shows its own SVIDs, and stays on the lattice from session to session', async () => {
    const { spire, nats } = house
    const args = ['--spire-admin-socket', spire.adminSocketPath, '--spire-workload-socket', spire.workloadSocketPath]
    const svids = [
      '--nats-svid',
      '--nats-svid-tls',
      '--nats-server-id',
      serverId,
      '--own-spiffe-id',
      spire.hostSpiffeId,
    ]
    const ids = ['--host-id', 'host-1', '--http', '127.0.0.1:0', '--output', 'json']
    await using herald = startHerald(['host', '--nats', nats.url, ...args, ...svids, ...ids])
    await herald.event('ready')
    const token = await spire.mintJwtSvid({ spiffeId: operator, audience: 'nats' })
    await using asker = await client(operator, { token })
    const isThere = async (): Promise<boolean> => {
      const answers = await asker
        .requestMany(subject('herald.hosts'), Buffer.from('{}'), { quietMs: 200, timeoutMs: 2_000 })
        .catch(() => [])
      return answers.some((answer) => Buffer.from(answer).toString().includes('"host-1"'))
    }
    const sessions = () => herald.stderr.split('"event":"lattice.connected","connection":"control"').length - 1
    await untilAsync('the host answers', isThere)
    await until('its session was renewed', () => sessions() > 1, 30_000)
    await untilAsync('the host answers again', isThere)
    const granted = `"audit.nats.granted","spiffeId":"${spire.hostSpiffeId}","by":"jwt"`
    assert.ok(house.serviceLog().split(granted).length > 2)
    assert.ok(
      !house.serviceLog().includes(`"spiffeId":"${calloutSpiffeId}","by"`),
      'the service itself is no client of its own',
    )
    // Nobody at the server watches entries here: the host leaves by itself.
    const entry = (await spire.listEntries()).find(({ spiffeId }) => spiffeId === spire.hostSpiffeId)
    await spire.deleteEntry(entry!.id)
    await until('the host ends its session', () => herald.stderr.includes('"event":"audit.nats.revoked"'), 30_000)
    await untilAsync('nobody answers', async () => !(await isThere()))
  })
})

async function untilAsync(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(30_000)
  while (!(await isTrue())) if (signal.aborted) throw new Error(`waited in vain until ${what}`)
}
