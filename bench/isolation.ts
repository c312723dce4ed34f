import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../src/clock/clock.ts'
import { createEngine } from '../src/engine/create-engine.ts'
import type { CellIsolation } from '../src/engine/engine.ts'
import { createIngress } from '../src/ingress/create-ingress.ts'
import { createLog } from '../src/observability/log.ts'
import { cellSpec, component as guest } from '../test/engine/engine-fixture.ts'
import { httpCall } from '../test/support/http-call.ts'
import { temporaryDirectory } from '../test/support/temporary-directory.ts'
import { processTree } from './process-tree.ts'
import { type BenchRun, summarize } from './result.ts'
import { loadWithWrk } from './wrk.ts'

const hello = join(import.meta.dirname, '..', 'components', 'hello-c', 'build', 'hello-c.wasm')
const isolations = ['thread', 'process'] as const
const mebibyte = 1024 * 1024

/** The same component in a thread of the host and in a process of its own, one after the other in each round. */
export const run: BenchRun = async ({ rounds, secondsPerRound, say }) => {
  using cache = temporaryDirectory()
  const bytes = await readFile(hello)
  const measured = new Map(isolations.map((isolation) => [isolation, [] as Measured[]]))
  for (let round = -1; round < rounds; round++) {
    for (const isolation of isolations) {
      const figures = await measure(bytes, { isolation, cacheDir: cache.path, seconds: secondsPerRound })
      say(
        `${isolation}: ${Object.entries(figures)
          .map(([name, value]) => `${name} ${value.toFixed(1)}`)
          .join(', ')}`,
      )
      // The first round warms up, and fills the cache.
      if (round >= 0) measured.get(isolation)!.push(figures)
    }
  }
  return isolations.flatMap((isolation) => {
    const figures = (name: keyof Measured) => measured.get(isolation)!.map((each) => each[name])
    return [
      summarize(`start, artifact cached, nothing made ahead (${isolation})`, 'ms', figures('firstMs')),
      summarize(`start, artifact cached, one made ahead (${isolation})`, 'ms', figures('spareMs')),
      summarize(`an idle cell more, its share of what is shared counted (${isolation})`, 'MiB', figures('idleMiB')),
      summarize(`CPU of one request, ${'wrk -t1 -c32'}, host and cell (${isolation})`, 'µs', figures('requestUs')),
      summarize(`requests (${isolation})`, 'requests/s', figures('rate')),
    ]
  })
}

type Measured = { firstMs: number; spareMs: number; idleMiB: number; requestUs: number; rate: number }

async function measure(
  bytes: Uint8Array,
  { isolation, cacheDir, seconds }: { isolation: CellIsolation; cacheDir: string; seconds: number },
): Promise<Measured> {
  const log = createLog({ level: 'silent' })
  await using engine = createEngine({ log, clock: systemClock, cacheDir, isolation })
  await using ingress = await createIngress({ log, host: '127.0.0.1', port: 0 })
  const start = async () => {
    const from = performance.now()
    const cell = await engine.startCell(cellSpec(guest(bytes, { poolSize: 8 })), {
      signal: AbortSignal.timeout(60_000),
    })
    return { cell, tookMs: performance.now() - from }
  }
  const { cell, tookMs: firstMs } = await start()
  ingress.route({ hosts: '*', cell, component: 'guest' })
  await httpCall(`http://127.0.0.1:${ingress.address.port}/`)
  // Until the next one is ready.
  await sleep(1_000)
  const beforeMiB = await memoryMiB()
  const { tookMs: spareMs } = await start()
  await sleep(1_000)
  const idleMiB = (await memoryMiB()) - beforeMiB
  const beforeMs = await cpuMs()
  const { requests, failed, requestsPerSecond } = await loadWithWrk(ingress.address.port, { seconds })
  if (failed > 0) throw new Error(`${failed} requests failed`)
  const requestUs = (((await cpuMs()) - beforeMs) * 1_000) / requests
  return { firstMs, spareMs, idleMiB, requestUs, rate: requestsPerSecond }
}

/** This process and the cells', not the load. */
async function pids(): Promise<number[]> {
  const all = await processTree(process.pid)
  const lines = await Promise.all(all.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return all.filter((pid, index) => pid === process.pid || lines[index]!.includes('child-main'))
}

async function memoryMiB(): Promise<number> {
  let kilobytes = 0
  for (const pid of await pids())
    kilobytes += Number(/^Pss:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1])
  return (kilobytes * 1_024) / mebibyte
}

async function cpuMs(): Promise<number> {
  let ticks = 0
  for (const pid of await pids()) {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')
    ticks += Number(fields[11]) + Number(fields[12])
  }
  // Of 100 a second, on all machines this runs on.
  return ticks * 10
}
