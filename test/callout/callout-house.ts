import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { inboxPrefixOf } from '../../src/lattice/subjects.ts'
import { type HeraldProcess, runHerald, startHerald } from '../cli/herald-process.ts'
import { testLattice } from '../lattice/lattice-test-setup.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A real SPIRE, a real nats-server that asks `herald nats-callout serve`, and that service as a user starts it. */
export interface CalloutHouse extends AsyncDisposable {
  readonly spire: Spire
  readonly nats: Nats
  /** The other server of its cluster, when asked for. */
  readonly otherNats: Nats | undefined
  /** What the service has said so far, over all its lives. */
  serviceLog(): string
  /** Where the service that runs answers probes. */
  serviceHealth(): string
  startService(): Promise<void>
  /** SIGKILL. */
  killService(): Promise<void>
  writePolicy(policy: object): void
  /** A client that shows a token that the SPIRE server minted for this SPIFFE ID; not connected yet. */
  client(spiffeId: string, token: string): ReturnType<typeof testLattice>
  /** The same with a token that changes. */
  clientOf(spiffeId: string, token: () => string): ReturnType<typeof testLattice>
}

export const calloutSpiffeId = 'spiffe://example.org/nats-callout'

export async function startCalloutHouse({
  policy,
  natsConfig = () => '',
  cluster = false,
  jetstream = false,
  revocation = false,
  serviceArgs = () => [],
}: {
  policy: object
  /** More of the server's configuration. */
  natsConfig?: (spire: Spire) => Promise<string> | string
  /** Whether there are two servers. */
  cluster?: boolean
  jetstream?: boolean
  /** Whether the service watches the SPIRE server's entries, and may end connections. */
  revocation?: boolean
  serviceArgs?: (spire: Spire) => readonly string[]
}): Promise<CalloutHouse> {
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const spire = cleanup.use(await startSpire({ oidc: false }))
  await spire.createEntry({
    spiffeId: calloutSpiffeId,
    parentId: spire.agentSpiffeId,
    selectors: [`unix:uid:${process.getuid?.()}`],
  })
  const keys = join(directory, 'keys')
  const accounts = ['--account', 'HERALD', '--account', 'OTHER', ...(revocation ? ['--system-account', 'SYS'] : [])]
  const made = await runHerald(['nats-callout', 'keys', keys, ...accounts])
  if (made.exitCode !== 0) throw new Error(made.stderr)
  const config = `${made.stdout}\n${await natsConfig(spire)}`
  const nats = cleanup.use(await startNats({ config, jetstream, ...(cluster && { cluster: { name: 'c' } }) }))
  const routes = nats.clusterUrl === undefined ? [] : [nats.clusterUrl]
  const otherNats = cluster ? cleanup.use(await startNats({ config, cluster: { name: 'c', routes } })) : undefined
  const policyFile = join(directory, 'policy.yaml')
  const writePolicy = (next: object): void => writeFileSync(policyFile, stringify(next))
  writePolicy(policy)
  let service: HeraldProcess | undefined
  let logged = ''
  let health = ''
  cleanup.defer(async () => service?.[Symbol.asyncDispose]())
  const startService = async (): Promise<void> => {
    const args = ['nats-callout', 'serve', '--keys', keys, '--policy', policyFile, '--output', 'json']
    const identity = ['--spire-workload-socket', spire.workloadSocketPath, '--own-spiffe-id', calloutSpiffeId]
    const servers = [nats, otherNats].flatMap((server) => (server === undefined ? [] : ['--nats', server.url]))
    const more = ['--health', '127.0.0.1:0', ...serviceArgs(spire)]
    const revoking = revocation ? ['--spire-server-socket', spire.serverSocketPath] : []
    service = startHerald([...args, ...servers, ...identity, ...more, ...revoking])
    health = String((await service.event('ready')).health)
  }
  await startService()
  const clientOf: CalloutHouse['clientOf'] = (spiffeId, token) => {
    const inboxPrefix = () => inboxPrefixOf(spiffeId)
    return testLattice(nats.url, { credentials: { kind: 'svid', ready: async () => {}, token, inboxPrefix } })
  }
  const owned = cleanup.move()
  return {
    spire,
    nats,
    otherNats,
    serviceLog: () => logged + (service?.stderr ?? ''),
    serviceHealth: () => health,
    startService,
    async killService() {
      service?.signalGroup('SIGKILL')
      logged += (await service?.exited)?.stderr ?? ''
      service = undefined
    },
    writePolicy,
    client: (spiffeId, token) => clientOf(spiffeId, () => token),
    clientOf,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
