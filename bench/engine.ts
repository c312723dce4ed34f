import { type Contender, type ContenderProgram, jcoProgram, ownProgram, startContender } from './contender.ts'
import { measureDeploys, measureEndlessLoop, measureImports } from './engine-moments.ts'
import { benchGuest } from './guests/bench-guests.ts'
import { type BenchAbsence, type BenchGoal, type BenchResult, type BenchRun, summarize } from './result.ts'
import { bestSettings, findWasmtime, type WasmtimeMode, wasmtimeProgram } from './wasmtime.ts'
import { type Load, loadWithWrk } from './wrk.ts'

type Entry = {
  readonly name: string
  readonly program: ContenderProgram
  /**
   * `hello`: GET, 32 connections, each asks as soon as it has its answer; `paced`: the same, but each waits 2 ms, so that all have as many requests
   * to answer; `body`: POST of 1 MiB that comes back, 4 connections.
   */
  readonly load: 'hello' | 'paced' | 'body'
}

const noWasmtime =
  'no wasmtime here: cargo install wasmtime-cli --locked, then put it on PATH or name it in HERALD_WASMTIME_BIN'
const deploys = 10
const loops = 3
const importRounds = 5

/**
 * The engine against bare node:http, `wasmtime serve` and `jco serve`: the same component, the same cores, the same load, rounds
 * interleaved. Then what has no peer: imports, deploys, an endless loop.
 */
export const run: BenchRun = async ({ rounds, secondsPerRound, say }) => {
  say('building the guests')
  const [guest, imports, javascript] = [
    await benchGuest('bench'),
    await benchGuest('imports'),
    await benchGuest('hello-js'),
  ]
  const wasmtime = await findWasmtime(process.env)
  say(wasmtime === undefined ? noWasmtime : `peer: ${wasmtime.version} (${wasmtime.program})`)
  const peer = async (mode: WasmtimeMode, threads: number, load: Entry['load'] = 'hello'): Promise<Entry[]> => {
    if (wasmtime === undefined) return []
    const settings = await settingsOf(mode)
    if (settings === undefined) return []
    return [
      { name: wasmtimeName(mode, threads, load), program: wasmtimeProgram(wasmtime, settings, threads, guest), load },
    ]
  }
  const settings = new Map<WasmtimeMode, Promise<readonly string[] | undefined>>()
  const settingsOf = (mode: WasmtimeMode) => {
    const known = settings.get(mode) ?? bestSettings(wasmtime!, mode, guest, say)
    settings.set(mode, known)
    return known
  }

  const entries: Entry[] = [
    { name: 'bare', program: ownProgram('bare', 1), load: 'hello' },
    { name: 'bare, 2 threads', program: ownProgram('bare', 2), load: 'hello' },
    { name: 'herald', program: ownProgram('direct', 1, guest), load: 'hello' },
    { name: 'herald, 2 threads', program: ownProgram('direct', 2, guest), load: 'hello' },
    { name: 'herald, ingress', program: ownProgram('ingress', 1, guest), load: 'hello' },
    { name: 'herald, 2 ingress, 2 cells', program: ownProgram('ingress', 2, guest), load: 'hello' },
    { name: 'herald, an instance per request', program: ownProgram('direct', 1, guest, 0), load: 'hello' },
    ...(await peer('an instance per request', 1)),
    ...(await peer('instances reused', 1)),
    ...(await peer('instances reused', 2)),
    { name: 'bare, paced', program: ownProgram('bare', 1), load: 'paced' },
    { name: 'herald, paced', program: ownProgram('direct', 1, guest), load: 'paced' },
    { name: 'herald, ingress, paced', program: ownProgram('ingress', 1, guest), load: 'paced' },
    { name: 'herald, JavaScript', program: ownProgram('direct', 1, javascript), load: 'hello' },
    { name: 'jco serve, JavaScript', program: jcoProgram(javascript), load: 'hello' },
    { name: 'bare, 1 MiB', program: ownProgram('bare', 1), load: 'body' },
    { name: 'herald, 1 MiB', program: ownProgram('direct', 1, guest), load: 'body' },
    { name: 'herald, ingress, 1 MiB', program: ownProgram('ingress', 1, guest), load: 'body' },
    ...(await peer('instances reused', 1, 'body')),
  ]
  const samples = await measureRounds(entries, { rounds, secondsPerRound, say })

  say('imports, deploys, endless loop')
  const { plain, waits } = await measureImports(imports, importRounds)
  const native = await measureDeploys(guest, deploys)
  const script = await measureDeploys(javascript, deploys)
  const loop = await measureEndlessLoop(guest, loops, say)

  const rate = ({ requestsPerSecond }: Load) => requestsPerSecond
  const p99 = ({ p99Ms }: Load) => p99Ms
  const ratio = (
    measure: string,
    [ours, theirs]: readonly [string, string],
    pick: (load: Load) => number,
    goal?: BenchGoal,
  ): BenchResult | BenchAbsence => {
    const [mine, other] = [samples.get(ours)!, samples.get(theirs)]
    if (other === undefined) {
      const notRun = wasmtime === undefined ? noWasmtime : `${wasmtime.version} served with no settings that were tried`
      return { measure, notRun, ...(goal && { goal }) }
    }
    const ratios = mine.map((load, round) => pick(load) / pick(other[round]!))
    return summarize(measure, 'ratio', ratios, goal)
  }
  const atLeast = (value: number) => ({ comparison: '≥', value }) as const
  const atMost = (value: number) => ({ comparison: '≤', value }) as const
  const reused = wasmtimeName('instances reused', 1, 'hello')
  const reused2 = wasmtimeName('instances reused', 2, 'hello')
  const fresh = wasmtimeName('an instance per request', 1, 'hello')
  const settingsSaid = async (mode: WasmtimeMode) =>
    wasmtime === undefined
      ? ''
      : ` (${wasmtime.version} ${(await settingsOf(mode))?.join(' ') ?? ''})`.replace(' )', ')')

  const rows: (BenchResult | BenchAbsence)[] = []
  for (const { name, load } of entries) {
    const loads = samples.get(name)!
    const mode = name.startsWith('wasmtime')
      ? name.includes('reused')
        ? 'instances reused'
        : 'an instance per request'
      : undefined
    const said = mode === undefined ? '' : await settingsSaid(mode)
    rows.push(summarize(name + said, load === 'body' ? 'MiB/s' : 'requests/s', loads.map(rate)))
    rows.push(summarize(`${name}: p99`, 'ms', loads.map(p99)))
  }
  return [
    ...rows,
    ratio('hello over bare node:http, one thread each', ['herald', 'bare'], rate, atLeast(0.8)),
    ratio('hello over bare node:http, two threads each', ['herald, 2 threads', 'bare, 2 threads'], rate, atLeast(0.8)),
    ratio('hello behind the ingress (its thread and the cell) over bare', ['herald, ingress', 'bare'], rate),
    ratio('hello over wasmtime serve at its best, one thread each', ['herald', reused], rate, atLeast(4)),
    ratio('hello over wasmtime serve at its best, two threads each', ['herald, 2 threads', reused2], rate, atLeast(4)),
    ratio(
      'an instance per request over wasmtime serve, the same',
      ['herald, an instance per request', fresh],
      rate,
      atLeast(1),
    ),
    ratio('hello over wasmtime serve with an instance per request, its default', ['herald', fresh], rate),
    ratio('p99 over bare', ['herald', 'bare'], p99, atMost(1.5)),
    ratio('p99 behind the ingress over bare', ['herald, ingress', 'bare'], p99, atMost(1.5)),
    ratio('p99 over bare, as many requests for both', ['herald, paced', 'bare, paced'], p99, atMost(1.5)),
    ratio(
      'p99 behind the ingress over bare, as many requests for both',
      ['herald, ingress, paced', 'bare, paced'],
      p99,
      atMost(1.5),
    ),
    ratio('JavaScript component over jco serve', ['herald, JavaScript', 'jco serve, JavaScript'], rate, atLeast(5)),
    ratio('1 MiB through the guest over bare', ['herald, 1 MiB', 'bare, 1 MiB'], rate, atLeast(0.6)),
    ratio(
      '1 MiB through the guest behind the ingress over bare',
      ['herald, ingress, 1 MiB', 'bare, 1 MiB'],
      rate,
      atLeast(0.6),
    ),
    ratio(
      '1 MiB through the guest over wasmtime serve',
      ['herald, 1 MiB', wasmtimeName('instances reused', 1, 'body')],
      rate,
    ),
    summarize('import answered at once, native guest', 'µs', plain, atMost(0.1)),
    summarize('import that waits, native guest', 'µs', waits, atMost(0.5)),
    summarize('deploy to first 200, artifact cached, native', 'ms', native, atMost(50)),
    summarize('deploy to first 200, artifact cached, JavaScript', 'ms', script, atMost(300)),
    summarize("endless loop: failed requests of a neighbour's", 'requests', loop.failed, { comparison: '=', value: 0 }),
    summarize('endless loop: from its 503 until its cell serves', 'ms', loop.recoveryMs, atMost(60)),
  ]
}

function wasmtimeName(mode: WasmtimeMode, threads: number, load: Entry['load']): string {
  return `wasmtime serve, ${mode}${threads > 1 ? `, ${threads} threads` : ''}${load === 'body' ? ', 1 MiB' : ''}`
}

/** One entry after the other in each round, from another one each time, so that a noisy machine is noisy for all. */
async function measureRounds(
  entries: readonly Entry[],
  { rounds, secondsPerRound, say }: { rounds: number; secondsPerRound: number; say: (line: string) => void },
): Promise<Map<string, Load[]>> {
  await using stack = new AsyncDisposableStack()
  const contenders = new Map<Entry, Contender>()
  for (const entry of entries) contenders.set(entry, stack.use(await startContender(entry.name, entry.program)))
  const samples = new Map<string, Load[]>(entries.map(({ name }) => [name, []]))
  const measure = async (entry: Entry, seconds: number): Promise<Load> => {
    const body = entry.load === 'body'
    const load = await loadWithWrk(contenders.get(entry)!.port, {
      seconds,
      post: body,
      connections: body ? 4 : 32,
      ...(entry.load === 'paced' && { pauseMs: 2 }),
    })
    if (load.failed > 0) throw new Error(`${entry.name}: ${load.failed} of ${load.requests} answers were wrong`)
    return load
  }
  say('warming up')
  for (const entry of entries) await measure(entry, 1)
  for (let round = 0; round < rounds; round++) {
    for (const [index] of entries.entries()) {
      const entry = entries[(index + round) % entries.length]!
      const load = await measure(entry, secondsPerRound)
      samples.get(entry.name)!.push(load)
      say(`round ${round + 1}: ${entry.name}: ${Math.round(load.requestsPerSecond)} requests/s, p99 ${load.p99Ms} ms`)
    }
  }
  return samples
}
