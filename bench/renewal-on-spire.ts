// As many identities as one host is meant to hold, all on one real SPIRE agent: what the agent, its server and the host spend, how long the
// first token of each takes, and how evenly they are renewed.
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../src/clock/clock.ts'
import { askAgentInfo } from '../src/identity/spire/agent-info.ts'
import { createSpireAuthority } from '../src/identity/spire/spire-authority.ts'
import { openSpireChannel } from '../src/identity/spire/spire-channel.ts'
import { type ComponentIdentity, createSvidSource } from '../src/identity/svid-source.ts'
import { createLog } from '../src/observability/log.ts'
import { type Spire, startSpire } from '../test/support/spire.ts'
import { processTree, rssBytes } from './process-tree.ts'
import { type BenchRow, type BenchRun, summarize } from './result.ts'

const identities = 10_000
/** Shorter than SPIRE's default of 300 s, so that minutes show several renewals of each; the agent is asked 2.5 times as often. */
const lifetimeS = 120
/** First requests under way at once: a host whose components all wake. */
const atOnce = 64
const batchSize = 500
/**
 * An agent looks at every entry that shares a selector with those it is asked for: at all of a namespace, for each request, where entries
 * are selected by it. So this is not one.
 */
const namespaces = 100

const programs = ['spire-agent', 'spire-server', 'host'] as const
type Spent = Readonly<Record<(typeof programs)[number], { readonly cpuS: number; readonly rssMiB: number }>>

export const run: BenchRun = async ({ minutes, say }) => {
  const rows: BenchRow[] = []
  const one = (measure: string, unit: string, value: number, goal?: Parameters<typeof summarize>[3]): void => {
    rows.push(summarize(measure, unit, [value], goal))
    say(`${measure}: ${value.toPrecision(4)} ${unit}`)
  }
  const log = createLog({ level: 'silent' })
  const clock = systemClock
  await using spire = await startSpire({
    ...{ oidc: false, defaultJwtSvidTtl: `${lifetimeS}s`, syncInterval: '5s', cacheReloadInterval: '5s' },
  })
  const pids = await pidsOf()
  const spent = (): Promise<Spent> => spentBy(pids)

  const before = await spent()
  one(
    `${identities} entries made by BatchCreateEntry, ${batchSize} at once`,
    's',
    await secondsOf(() => createEntries(spire)),
  )
  await using authority = createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock })
  one('from the last entry until the agent issues for it', 's', await secondsOf(() => untilIssued(authority)))
  const synced = await spent()
  one('agent, processor time for taking them over', 's', synced['spire-agent'].cpuS - before['spire-agent'].cpuS)
  one('agent, memory with all entries', 'MiB', synced['spire-agent'].rssMiB)

  await using svids = createSvidSource({ authority, clock, log })
  const held = Array.from({ length: identities }, (_, index) => svids.open(factsOf(index)))
  const perSecond = new Map<number, number>()
  let [renewed, lost] = [0, 0]
  for (const identity of held) {
    identity.onChange(({ kind }) => {
      if (kind === 'evicted') lost += 1
      if (kind !== 'renewed') return
      renewed += 1
      const second = Math.floor(performance.now() / 1000)
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1)
    })
  }

  const firstMs: number[] = []
  let waitedInVain = 0
  const progress = setInterval(() => {
    void askAgentInfo(spire.adminSocketPath, { signal: AbortSignal.timeout(5_000) }).then((agent) => {
      const ageS = agent?.lastSync && (Date.now() - agent.lastSync.getTime()) / 1000
      say(`${firstMs.length} first tokens, ${waitedInVain} waits in vain, last sync ${ageS?.toFixed(0) ?? '?'} s ago`)
      const complaint = lastComplaint(spire.agentLogs())
      if (complaint !== undefined) say(`the agent: ${complaint}`)
    })
  }, 15_000)
  const coldS = await secondsOf(async () => {
    await inLanes(held, atOnce, async (identity) => {
      const beganAt = performance.now()
      for (;;) {
        try {
          await identity.fetchJwtSvid(['bench'], { signal: AbortSignal.timeout(120_000) })
          break
        } catch {
          // A caller waits for 5 s; the fetch goes on, and a guest asks again.
          waitedInVain += 1
        }
      }
      firstMs.push(performance.now() - beganAt)
    })
  })
  clearInterval(progress)
  const cold = await spent()
  firstMs.sort((a, b) => a - b)
  one(`first tokens, ${atOnce} at once`, 'per s', firstMs.length / coldS)
  one('first token, median', 'ms', firstMs[Math.floor(firstMs.length / 2)] ?? Number.NaN)
  one('first token, 99th percentile', 'ms', firstMs[Math.floor(firstMs.length * 0.99)] ?? Number.NaN)
  one('callers that waited 5 s in vain and asked again', 'times', waitedInVain, { comparison: '=', value: 0 })
  for (const program of programs) {
    one(
      `${program}, processor time per first token`,
      'ms',
      ((cold[program].cpuS - synced[program].cpuS) * 1000) / identities,
    )
  }

  // The waves of the start die down first: a life of every token.
  say(`waiting ${lifetimeS} s for the first renewals`)
  await sleep(lifetimeS * 1000)
  const [from, fromS] = [await spent(), Math.ceil(performance.now() / 1000)]
  const renewedBefore = renewed
  say(`watching for ${minutes} min`)
  await sleep(minutes * 60_000)
  const [to, toS] = [await spent(), Math.floor(performance.now() / 1000)]
  const seconds = toS - fromS
  const counts = Array.from({ length: seconds }, (_, index) => perSecond.get(fromS + index) ?? 0)
  const mean = counts.reduce((sum, count) => sum + count, 0) / seconds
  one('renewals', 'per s', (renewed - renewedBefore) / seconds)
  one('worst second over the mean', 'ratio', Math.max(...counts) / mean, { comparison: '≤', value: 2 })
  one('identities without a valid token at the end', 'identities', identities - svids.heldCount(), {
    comparison: '=',
    value: 0,
  })
  one('tokens evicted', 'tokens', lost, { comparison: '=', value: 0 })
  for (const program of programs) {
    one(`${program} while it renews, of one core`, '%', ((to[program].cpuS - from[program].cpuS) * 100) / seconds)
    one(`${program}, memory`, 'MiB', to[program].rssMiB)
  }
  return rows
}

const namespaceOf = (index: number): string => `n${index % namespaces}`
const factsOf = (index: number) => ({
  ...{
    lattice: 'default',
    namespace: namespaceOf(index),
    workloadName: `w${index}`,
    workloadId: `w${index}`,
    environment: undefined,
  },
  ...{
    componentName: `c${index}`,
    image: 'example.org/bench:1',
    imageDigest: `sha256:${'00'.repeat(32)}`,
    hostLabels: {},
  },
})

async function createEntries({ serverSocketPath, trustDomain }: Spire): Promise<void> {
  const service = { proto: 'entry.proto', name: 'spire.api.server.entry.v1.Entry' }
  const channel = openSpireChannel(serverSocketPath, service)
  const id = (path: string) => ({ trust_domain: trustDomain, path })
  for (let from = 0; from < identities; from += batchSize) {
    const entries = Array.from({ length: Math.min(batchSize, identities - from) }, (_, offset) => ({
      ...{ spiffe_id: id(`/bench/c${from + offset}`), parent_id: id('/wasm-host') },
      selectors: [
        { type: 'wasmcloud', value: `component:c${from + offset}` },
        { type: 'wasmcloud', value: `namespace:${namespaceOf(from + offset)}` },
      ],
    }))
    type Created = { results: readonly { status: { code: number; message: string } }[] }
    const signal = AbortSignal.timeout(60_000)
    const { results } = await channel.ask<Created>('BatchCreateEntry', { entries }, { signal })
    const bad = results.find(({ status }) => status.code !== 0)
    if (bad !== undefined) throw new Error(`SPIRE refused an entry: ${bad.status.message}`)
  }
  channel.close()
}

async function untilIssued(authority: ReturnType<typeof createSpireAuthority>): Promise<void> {
  const selectors = [
    { type: 'wasmcloud', value: `component:c${identities - 1}` },
    { type: 'wasmcloud', value: `namespace:${namespaceOf(identities - 1)}` },
  ] as const
  const signal = AbortSignal.timeout(300_000)
  while (!signal.aborted) {
    const issued = await authority.fetchJwtSvids({ selectors, audiences: ['bench-sync'] }, { signal }).catch(() => [])
    if (issued.length > 0) return
    await sleep(100)
  }
  throw new Error('the agent has not taken over the entries within 5 minutes')
}

async function inLanes(
  all: readonly ComponentIdentity[],
  lanes: number,
  work: (each: ComponentIdentity) => Promise<void>,
): Promise<void> {
  const queue = all.values()
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const each of queue) await work(each)
    }),
  )
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  const beganAt = performance.now()
  await work()
  return (performance.now() - beganAt) / 1000
}

type Pids = Readonly<Record<(typeof programs)[number], number>>

async function pidsOf(): Promise<Pids> {
  const found: Record<string, number> = { host: process.pid }
  for (const pid of await processTree(process.pid)) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const program = programs.find((each) => line.split('\0')[0]?.endsWith(`/${each}`))
    if (program !== undefined) found[program] = pid
  }
  return found as Pids
}

/** A clock tick is 10 ms on Linux. */
async function spentBy(pids: Pids): Promise<Spent> {
  const each = programs.map(async (program) => {
    const stat = await readFile(`/proc/${pids[program]}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const cpuS = (Number(fields[11]) + Number(fields[12])) / 100
    return [program, { cpuS, rssMiB: (await rssBytes([pids[program]])) / 2 ** 20 }] as const
  })
  return Object.fromEntries(await Promise.all(each)) as unknown as Spent
}

function lastComplaint(log: string): string | undefined {
  const at = Math.max(log.lastIndexOf('level=error'), log.lastIndexOf('level=warning'))
  return at === -1 ? undefined : log.slice(at, log.indexOf('\n', at)).slice(0, 400)
}
