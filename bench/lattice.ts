import { randomBytes, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildComponents } from '../scripts/build-components.ts'
import { type OperatorDriver, startOperatorDriver, wireWorkload } from '../test/control/operator-driver.ts'
import { testClient } from '../test/oci/oci-test-setup.ts'
import { httpCall } from '../test/support/http-call.ts'
import { startNats } from '../test/support/nats.ts'
import { startRegistry } from '../test/support/registry.ts'
import { startSpire } from '../test/support/spire.ts'
import { temporaryDirectory } from '../test/support/temporary-directory.ts'
import { type HostProcess, startHostProcess } from './host-process.ts'
import { rssBytes } from './process-tree.ts'
import { type BenchResult, type BenchRun, summarize } from './result.ts'
import { loadWithWrk } from './wrk.ts'

const starts = 10
const workloads = 200
/** Starts on one host. */
const atOnce = 10
const loadSeconds = 20

type LatticeHost = HostProcess & { readonly id: string }

/**
 * Three `herald host` on one NATS server, with a registry and SPIRE, all on this machine; the operator is played message by message: how
 * long starts take, whether heartbeats are late under load, and what 200 workloads with an identity cost.
 */
export const run: BenchRun = async ({ say }) => {
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(temporaryDirectory()).path
  const built = await buildComponents(['hello-c', 'whoami-c'])
  const [hello, whoami] = [await readFile(built.get('hello-c')!), await readFile(built.get('whoami-c')!)]
  say('starting NATS, a registry, SPIRE and three hosts')
  const nats = stack.use(await startNats())
  const registry = stack.use(await startRegistry())
  const spire = stack.use(await startSpire({ oidc: false }))
  const spiffeId = 'spiffe://example.org/bench'
  await spire.createEntry({ spiffeId, selectors: ['wasmcloud:namespace:team-a'] })
  const operator = stack.use(await startOperatorDriver(nats.url))
  const client = await testClient()
  const push = async (name: string, bytes: Uint8Array): Promise<string> => {
    const image = `${registry.host}/bench/${name}:1`
    await client.push(image, bytes, { signal: AbortSignal.timeout(20_000) })
    return image
  }
  const hosts: LatticeHost[] = []
  for (let n = 0; n < 3; n++) {
    const id = `bench-${n}-${randomUUID()}`
    const host = await startHostProcess(`herald-${n}`, [
      ...[
        '--nats',
        nats.url,
        '--host-id',
        id,
        '--friendly-name',
        `bench-${n}`,
        '--stop-delay',
        '0s',
        '--spire-admin-socket',
        spire.adminSocketPath,
      ],
      ...['--image-cache', join(directory, `images-${n}`), '--artifact-cache', join(directory, `artifacts-${n}`)],
    ])
    hosts.push(Object.assign(stack.use(host), { id }))
  }

  const firstMs: number[] = []
  const pulledMs: number[] = []
  const cachedMs: number[] = []
  for (const host of hosts)
    firstMs.push(await timeStart(operator, host, await push(`first-${host.id}`, variant(hello))))
  const [host] = hosts as [LatticeHost]
  const cached = await push('cached', variant(hello))
  await timeStart(operator, host, cached)
  for (let n = 0; n < starts; n++) {
    pulledMs.push(await timeStart(operator, host, await push(`pulled-${n}`, variant(hello))))
    cachedMs.push(await timeStart(operator, host, cached))
  }
  say(
    `start: cached ${Math.round(summarize('', '', cachedMs).median)} ms, pulled ${Math.round(summarize('', '', pulledMs).median)} ms`,
  )

  const heartbeats = await measureHeartbeats(operator, host, cached, say)
  const fleet = await deployMany(operator, hosts, await push('whoami', whoami), spiffeId, say)
  return [
    summarize('start to RUNNING, image cached, native', 'ms', cachedMs, { comparison: '≤', value: 60 }),
    summarize('start to RUNNING, image never seen, from a local registry, native', 'ms', pulledMs, {
      comparison: '≤',
      value: 150,
    }),
    summarize('the same, the very first start of a host', 'ms', firstMs),
    ...heartbeats,
    ...fleet,
  ]
}

/** ms from the request until the answer RUNNING; stopped again afterwards. */
async function timeStart(operator: OperatorDriver, { id }: LatticeHost, image: string): Promise<number> {
  const workloadId = randomUUID()
  const startedMs = performance.now()
  await started(operator, id, workloadId, wireWorkload(`w-${workloadId}`, { image }))
  const tookMs = performance.now() - startedMs
  await operator.stop(id, workloadId)
  // A start finds the spare thread that the last one took replaced.
  await sleep(300)
  return tookMs
}

async function started(operator: OperatorDriver, hostId: string, workloadId: string, workload: object): Promise<void> {
  const { workloadState, message } = await operator.start(hostId, workloadId, workload)
  if (workloadState !== 'WORKLOAD_STATE_RUNNING') throw new Error(`${workloadId} is ${workloadState}: ${message}`)
}

/** All cores busy with requests and starts: answers to heartbeat requests, and how late the published ones come. */
async function measureHeartbeats(
  operator: OperatorDriver,
  host: LatticeHost,
  image: string,
  say: (line: string) => void,
): Promise<BenchResult[]> {
  const workloadId = randomUUID()
  await started(operator, host.id, workloadId, wireWorkload('loaded', { image }))
  const beats = operator.heartbeats.get(host.id)
  const already = beats?.length ?? 0
  const hostName = 'loaded.example.com'
  let loading = true
  const load = loadWithWrk(host.port, { seconds: loadSeconds, hostName }).finally(() => {
    loading = false
  })
  const starting = (async () => {
    while (loading) await timeStart(operator, host, image)
  })()
  const delaysMs: number[] = []
  while (loading) {
    const askedMs = performance.now()
    await operator.heartbeat(host.id)
    delaysMs.push(performance.now() - askedMs)
    await sleep(20)
  }
  const { requestsPerSecond } = await load
  await starting
  const times =
    operator.heartbeats
      .get(host.id)
      ?.slice(Math.max(0, already - 1))
      .map(({ atMs }) => atMs) ?? []
  const lateMs = times.slice(1).map((atMs, index) => Math.max(0, atMs - times[index]! - 15_000))
  await operator.stop(host.id, workloadId)
  say(`heartbeats: ${delaysMs.length} asked for at ${Math.round(requestsPerSecond)} requests/s`)
  return [
    summarize('heartbeat asked for under full load: delay', 'ms', delaysMs),
    summarize('heartbeat asked for under full load: p99 of the delay', 'ms', [percentile(delaysMs, 0.99)], {
      comparison: '≤',
      value: 100,
    }),
    ...(lateMs.length === 0 ? [] : [summarize('heartbeat published under full load: lateness', 'ms', lateMs)]),
  ]
}

/** Many workloads with an identity, some at a time on each host; each then says who it is. */
async function deployMany(
  operator: OperatorDriver,
  hosts: readonly LatticeHost[],
  image: string,
  spiffeId: string,
  say: (line: string) => void,
): Promise<BenchResult[]> {
  const memoryMiB = async () => (await rssBytes(hosts.map(({ server }) => server.pid))) / 2 ** 20
  const agentCalls = async () => {
    const counts = hosts.map((host) => host.metric('herald_svid_fetch_duration_seconds_count'))
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }
  const [beforeMiB, callsBefore] = [await memoryMiB(), await agentCalls()]
  const placed = Array.from({ length: workloads }, (_, n) => ({ name: `many-${n}`, host: hosts[n % hosts.length]! }))
  const startedMs = performance.now()
  const placing = hosts.flatMap((host) => {
    const left = placed.filter((each) => each.host === host).values()
    return Array.from({ length: atOnce }, async () => {
      for (const { name } of left) await started(operator, host.id, randomUUID(), identified(name, image))
    })
  })
  await Promise.all(placing)
  const runningMs = performance.now() - startedMs
  say(`${workloads} workloads run after ${Math.round(runningMs)} ms`)
  const runningMiB = await memoryMiB()
  const askedMs = performance.now()
  const perHost = hosts.map(async (host) => {
    for (const { name } of placed.filter((each) => each.host === host)) {
      const { status, text } = await httpCall(`http://127.0.0.1:${host.port}/`, { host: `${name}.example.com` })
      if (status !== 200 || !text.includes(spiffeId))
        throw new Error(`${name} answered ${status} ${text.slice(0, 300)}`)
    }
  })
  await Promise.all(perHost)
  const answeredMs = performance.now() - askedMs
  return [
    summarize(`${workloads} workloads on three hosts: all RUNNING after`, 's', [runningMs / 1000]),
    summarize('each asked once for its identity: all answered after', 's', [answeredMs / 1000]),
    summarize('calls of the SPIRE agent for that', 'calls', [(await agentCalls()) - callsBefore]),
    summarize('resident memory of the three hosts, before', 'MiB', [beforeMiB]),
    summarize('resident memory of the three hosts, all RUNNING', 'MiB', [runningMiB]),
    summarize('resident memory of the three hosts, all asked', 'MiB', [await memoryMiB()]),
  ]
}

function identified(name: string, image: string): object {
  const http = {
    namespace: 'wasi',
    package: 'http',
    interfaces: ['incoming-handler'],
    config: { host: `${name}.example.com` },
  }
  const config = { audiences: 'sts.amazonaws.com' }
  const store = { namespace: 'wasmcloud', package: 'identity', interfaces: ['store'], version: '0.0.1', config }
  const components = [{ name: 'api', image, localResources: {} }]
  return { namespace: 'team-a', name, annotations: {}, witWorld: { components, hostInterfaces: [http, store] } }
}

/** Other bytes that do the same: with a custom section of its own. */
function variant(component: Uint8Array): Uint8Array {
  const content = Buffer.concat([Buffer.from([4]), Buffer.from('salt'), randomBytes(16)])
  return Buffer.concat([component, Buffer.from([0, content.length]), content])
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
