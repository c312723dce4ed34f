import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../src/clock/clock.ts'
import { createEngine } from '../src/engine/create-engine.ts'
import { createIngress } from '../src/ingress/create-ingress.ts'
import { createLog } from '../src/observability/log.ts'
import { cellSpec, component as guest } from '../test/engine/engine-fixture.ts'
import { httpCall } from '../test/support/http-call.ts'
import { temporaryDirectory } from '../test/support/temporary-directory.ts'
import { type BenchHost, openBenchHost } from './bench-host.ts'
import { loadWithWrk } from './wrk.ts'

const callsOfGuest = 200_000

/** µs of one import of a native guest, by the guest's own clock: answered at once, and suspended for. The loop itself is taken off. */
export async function measureImports(component: string, rounds: number): Promise<{ plain: number[]; waits: number[] }> {
  const log = createLog({ level: 'silent' })
  await using engine = createEngine({ log, clock: systemClock })
  await using ingress = await createIngress({ log, host: '127.0.0.1', port: 0 })
  const binding = {
    cellModule: new URL('./guests/imports-cell.ts', import.meta.url),
    config: undefined,
    handle: async () => undefined,
    attach: () => {},
    release: () => {},
  }
  const served = {
    bindings: [binding],
    capabilityInterfaces: ['herald:bench/host'],
    capabilityWaits: ['herald:bench/host#waits'],
  }
  const spec = cellSpec(guest(await readFile(component), { poolSize: 1 }, served))
  const cell = await engine.startCell(spec, { signal: AbortSignal.timeout(60_000) })
  ingress.route({ hosts: '*', cell, component: 'guest' })
  const timeUs = async (path: string): Promise<number> => {
    const { status, text } = await httpCall(`http://127.0.0.1:${ingress.address.port}/${path}`)
    if (status !== 200) throw new Error(`the guest that times imports answered ${status} ${text}`)
    return Number(text) / 1000 / callsOfGuest
  }
  const times: { plain: number[]; waits: number[] } = { plain: [], waits: [] }
  // The first two rounds warm up.
  for (let round = -2; round < rounds; round++) {
    const loopUs = await timeUs('')
    for (const path of ['plain', 'waits'] as const) {
      const us = (await timeUs(path)) - loopUs
      if (round >= 0) times[path].push(us)
    }
  }
  return times
}

/** ms from the manifest until the first 200 came over HTTP, the artifact being in the cache. */
export async function measureDeploys(component: string, times: number): Promise<number[]> {
  using cache = temporaryDirectory()
  await using host = await openBenchHost(cache.path)
  const deployMs: number[] = []
  for (let time = -1; time < times; time++) {
    const startedMs = performance.now()
    const workload = await host.deploy('deployed', component, { poolSize: 1 })
    await answered(host, 'deployed')
    if (time >= 0) deployMs.push(performance.now() - startedMs)
    await workload.stop()
    // A deploy finds the spare thread that the last one took replaced.
    await sleep(400)
  }
  return deployMs
}

/** A cell whose guest loops for ever, beside a neighbour under load. */
export async function measureEndlessLoop(component: string, times: number, say: (line: string) => void) {
  using cache = temporaryDirectory()
  await using host = await openBenchHost(cache.path)
  await host.deploy('neighbour', component, { poolSize: 8 })
  await host.deploy('looping', component, { poolSize: 2 })
  await loadWithWrk(host.port, { seconds: 1, hostName: 'neighbour.test' })
  const recoveryMs: number[] = []
  const failed: number[] = []
  for (let time = 0; time < times; time++) {
    const neighbour = loadWithWrk(host.port, { seconds: 4, hostName: 'neighbour.test' })
    await sleep(300)
    const url = `http://127.0.0.1:${host.port}/`
    const looped = await httpCall(`${url}loop`, { host: 'looping.test' })
    const endedMs = performance.now()
    if (looped.status !== 503) throw new Error(`an endless loop was answered ${looped.status}`)
    await answered(host, 'looping')
    recoveryMs.push(performance.now() - endedMs)
    const load = await neighbour
    failed.push(load.failed)
    say(
      `endless loop: its cell served again after ${recoveryMs.at(-1)!.toFixed(1)} ms; neighbour: ${load.failed} of ${load.requests} failed`,
    )
    await sleep(500)
  }
  return { recoveryMs, failed }
}

async function answered(host: BenchHost, name: string): Promise<void> {
  for (const untilMs = performance.now() + 10_000; performance.now() < untilMs; ) {
    const { status } = await httpCall(`http://127.0.0.1:${host.port}/`, { host: `${name}.test` })
    if (status === 200) return
    await sleep(1)
  }
  throw new Error(`${name} did not serve within 10 s`)
}
