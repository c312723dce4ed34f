import { connect } from 'nats'
import { systemClock as clock } from '../src/clock/clock.ts'
import { createDevelopmentAuthority } from '../src/identity/development/development-authority.ts'
import { createLog } from '../src/observability/log.ts'
import { callerInterface, callsEntry, openCallsHouse } from '../test/calls/calls-house.ts'
import type { DeployedWorkload } from '../test/capabilities/capability-house.ts'
import { startNats } from '../test/support/nats.ts'
import { startAskingThread } from './asking-thread.ts'
import { startEchoingThread } from './echoing-thread.ts'
import { type BenchRun, summarize } from './result.ts'

/** Calls at a time when throughput is measured. */
const atOnce = 32

/**
 * Calls of 16 bytes there and back: from a guest of one host to one of another over NATS, over a raw request/reply of two `nats` clients, all four in this
 * process; over the same asked for by one thread and answered by another, as a cell does; and from a guest to another of its workload.
 */
export const run: BenchRun = async ({ rounds, secondsPerRound, say }) => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const log = createLog({ level: 'silent' })
  const authority = stack.use(await createDevelopmentAuthority({ log, clock, inKubernetes: false }))
  const here = stack.use(await openCallsHouse({ url: nats.url, authority }))
  const there = stack.use(await openCallsHouse({ url: nats.url, authority }))
  const [asker, answerer] = [await connect({ servers: nats.url }), await connect({ servers: nats.url })]
  stack.defer(() => asker.close())
  stack.defer(() => answerer.close())
  answerer.subscribe('bench.raw', { callback: (_, message) => void message.respond(message.data) })
  const asking = stack.use(await startAskingThread())
  const echoing = stack.use(await startEchoingThread())
  answerer.subscribe('bench.threads', {
    // A piece of the connection's own memory, which would be copied with it.
    callback: (_, message) => void echoing.echo(message.data.slice()).then((answer) => message.respond(answer)),
  })
  await answerer.flush()

  const id = (name: string) => `spiffe://development.local/default/${name}`
  const callers = callsEntry(`callers: "${id('caller')}", max-in-flight: "1024"`)
  await there.deploy({ component: 'callee', interfaces: [callers, callerInterface], poolSize: atOnce })
  const remote = await here.deploy({
    component: 'caller',
    name: 'remote',
    interfaces: [callsEntry(`callee: "${id('callee')}", max-in-flight: "1024"`)],
    poolSize: atOnce,
  })
  const local = await here.deploy({
    component: 'caller',
    name: 'local',
    beside: ['callee'],
    interfaces: [callerInterface],
    poolSize: atOnce,
  })
  const body = Buffer.from('sixteen bytes!!\0')
  const rawCalls = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) await asker.request('bench.raw', body, { timeout: 10_000 })
  }

  const samples = new Map<string, number[]>()
  const push = (name: string, sample: number) => samples.set(name, [...(samples.get(name) ?? []), sample])
  for (let round = 0; round <= rounds; round++) {
    const budgetMs = (secondsPerRound * 1000) / 4
    const raw = await costOf(rawCalls, 1, budgetMs)
    const remoteOne = await costOf((count) => guestCalls(remote, count), 1, budgetMs)
    const count = Math.ceil((budgetMs * 1000) / remoteOne.us)
    const threadsUs = await asking.measure(count, async () => {
      const { data } = await asker.request('bench.threads', body, { timeout: 10_000 })
      return data.slice()
    })
    const rawMany = await costOf(rawCalls, atOnce, budgetMs)
    const remoteMany = await costOf((count) => guestCalls(remote, count), atOnce, budgetMs)
    const linked = await costOf((count) => guestCalls(local, count), 1, budgetMs)
    // The first round warms up.
    if (round === 0) continue
    push('raw', raw.us)
    push('remote', remoteOne.us)
    push('latency', remoteOne.us / raw.us)
    push('threads', threadsUs)
    push('threads latency', remoteOne.us / threadsUs)
    push('raw rate', 1e6 / rawMany.us)
    push('remote rate', 1e6 / remoteMany.us)
    push('throughput', remoteMany.us / rawMany.us)
    push('raw processor', rawMany.cpuUs)
    push('remote processor', remoteMany.cpuUs)
    push('linked', linked.us)
    const shown = ({ us, cpuUs }: Cost): string => `${us.toFixed(1)} µs (${cpuUs.toFixed(1)} µs of processor)`
    say(
      `round ${round}, one at a time: raw ${shown(raw)}, of other threads ${threadsUs.toFixed(1)} µs, guest ${shown(remoteOne)}, linked ${shown(linked)}`,
    )
    say(`round ${round}, ${atOnce} at once: raw ${shown(rawMany)}, guest ${shown(remoteMany)}`)
  }
  const of = (name: string): readonly number[] => samples.get(name) ?? []
  const goal = { comparison: '≤', value: 1.3 } as const
  return [
    summarize('raw request and reply, one at a time', 'µs', of('raw')),
    summarize('call of a guest on another host, one at a time', 'µs', of('remote')),
    summarize('call over raw request and reply, one at a time', 'ratio', of('latency'), goal),
    summarize('raw request and reply, asked for and answered by other threads', 'µs', of('threads')),
    summarize('call over the raw one of other threads, one at a time', 'ratio', of('threads latency')),
    summarize(`raw requests and replies, ${atOnce} at once`, 'calls/s', of('raw rate')),
    summarize(`calls of guests on another host, ${atOnce} at once`, 'calls/s', of('remote rate')),
    summarize(`cost of a call over raw request and reply, ${atOnce} at once`, 'ratio', of('throughput'), goal),
    summarize('processor time of a raw request and reply, both ends', 'µs', of('raw processor')),
    summarize('processor time of a call, both ends', 'µs', of('remote processor')),
    summarize('call of a linked component of the same workload', 'µs', of('linked')),
  ]
}

/** Of one call: wall time over the number of calls, and processor time of this process. */
type Cost = { readonly us: number; readonly cpuUs: number }

/** @param calls makes so many, one after the other */
async function costOf(calls: (count: number) => Promise<void>, concurrency: number, budgetMs: number): Promise<Cost> {
  let done = 0
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  const untilMs = startedMs + budgetMs
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (performance.now() < untilMs) {
        await calls(200)
        done += 200
      }
    }),
  )
  const { user, system } = process.cpuUsage(cpu)
  return { us: ((performance.now() - startedMs) * 1000) / done, cpuUs: (user + system) / done }
}

async function guestCalls(guest: DeployedWorkload, count: number): Promise<void> {
  const { status, text } = await guest.get('/bench', { n: String(count) })
  if (status !== 200) throw new Error(`the guest's calls failed: ${text}`)
}
