import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../test/support/temporary-directory.ts'
import { manifestOf } from './bench-host.ts'
import { benchGuest } from './guests/bench-guests.ts'
import { startHostProcess } from './host-process.ts'
import { rssBytes } from './process-tree.ts'
import { type BenchRun, summarize } from './result.ts'
import { type Load, loadWithWrk } from './wrk.ts'

const share = 0.7
const pauseMs = 5
/** wrk runs so long at a time; then the number of connections is corrected. */
const stretchSeconds = 10

/**
 * The whole `herald host` as its users start it, a component in a warm pool behind its ingress, at a rate of 70 % of what it can do:
 * failed requests, and how its memory grows after the first minute.
 */
export const run: BenchRun = async ({ minutes, say }) => {
  using directory = temporaryDirectory()
  const manifest = join(directory.path, 'soak.yaml')
  await writeFile(manifest, manifestOf('soak', `file://${await benchGuest('bench')}`, 8))
  const hostName = 'soak.test'
  await using host = await startHostProcess('herald-soak', [
    ...['-f', manifest, '--spire-admin-socket', join(directory.path, 'none.sock')],
  ])
  const { port, server } = host
  await loadWithWrk(port, { seconds: 5, hostName })
  const peak = await loadWithWrk(port, { seconds: 5, hostName })
  if (peak.failed > 0) throw new Error(`${peak.failed} requests failed before the soak began`)
  const wanted = peak.requestsPerSecond * share
  say(`peak: ${Math.round(peak.requestsPerSecond)} requests/s; soaking at ${Math.round(wanted)} for ${minutes} minutes`)

  // Every connection pauses before each request, so many connections make the rate.
  const fewest = Math.max(1, Math.round((wanted * pauseMs) / 1000))
  let connections = fewest
  const loads: Load[] = []
  const rssMiB: { readonly atMs: number; readonly value: number }[] = []
  const startedMs = performance.now()
  const ending = new AbortController()
  const sampling = (async () => {
    while (!ending.signal.aborted) {
      const value = (await rssBytes([server.pid])) / 2 ** 20
      rssMiB.push({ atMs: performance.now() - startedMs, value })
      await sleep(1000, undefined, { signal: ending.signal }).catch(() => {})
    }
  })()
  for (let leftS = minutes * 60; leftS > 0; leftS -= stretchSeconds) {
    const load = await loadWithWrk(port, { seconds: Math.min(stretchSeconds, leftS), connections, pauseMs, hostName })
    loads.push(load)
    say(
      `${Math.round((performance.now() - startedMs) / 1000)} s: ${Math.round(load.requestsPerSecond)} requests/s, p99 ${load.p99Ms} ms, ${load.failed} failed, ${Math.round(rssMiB.at(-1)?.value ?? 0)} MiB`,
    )
    const needed = Math.round((connections * wanted) / load.requestsPerSecond)
    connections = Math.min(Math.max(1, needed), fewest * 3)
  }
  ending.abort()
  await sampling

  const totalMs = minutes * 60_000
  // Of a run that has no second minute, the second half is what can be said.
  const settledMs = Math.min(60_000, totalMs / 2)
  const windowMs = Math.min(60_000, totalMs / 4)
  const before = medianBetween(rssMiB, settledMs, settledMs + windowMs)
  const after = medianBetween(rssMiB, totalMs - windowMs, totalMs)
  const rates = loads.map(({ requestsPerSecond }) => requestsPerSecond)
  return [
    summarize('peak', 'requests/s', [peak.requestsPerSecond]),
    summarize('soak: rate', 'requests/s', rates),
    summarize(
      'soak: rate over peak',
      'ratio',
      rates.map((rate) => rate / peak.requestsPerSecond),
    ),
    summarize('soak: requests', 'requests', [loads.reduce((sum, { requests }) => sum + requests, 0)]),
    summarize('soak: failed requests', 'requests', [loads.reduce((sum, { failed }) => sum + failed, 0)], {
      comparison: '=',
      value: 0,
    }),
    summarize(
      'soak: p99',
      'ms',
      loads.map(({ p99Ms }) => p99Ms),
    ),
    summarize(
      'soak: resident memory',
      'MiB',
      rssMiB.map(({ value }) => value),
    ),
    summarize('soak: growth of resident memory after the first minute', '%', [(after / before - 1) * 100], {
      comparison: '≤',
      value: 5,
    }),
  ]
}

function medianBetween(samples: readonly { atMs: number; value: number }[], fromMs: number, toMs: number): number {
  const values = samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs).map(({ value }) => value)
  return summarize(`resident memory from ${fromMs / 1000} to ${toMs / 1000} s`, 'MiB', values).median
}
