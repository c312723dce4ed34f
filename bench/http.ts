import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type BenchResult, type BenchRun, summarize } from './result.ts'

const run$ = promisify(execFile)
const root = join(import.meta.dirname, '..')
const component = join(root, 'components', 'hello-c', 'build', 'hello-c.wasm')
const connections = 32

type Contender = { readonly name: string; readonly args: readonly string[]; port: number; process?: ChildProcess }
type Sample = { requestsPerSecond: number; p99Ms: number; cpuUs: number }

/**
 * Bare node:http against the C hello component on one Herald cell, one serving thread each: behind an ingress thread, listening in the
 * cell itself, and with an instance per request. wrk with 32 connections; rounds interleaved, so that a noisy machine is noisy for all.
 */
export const run: BenchRun = async ({ rounds, secondsPerRound, say }) => {
  await needed('wrk', ['-v'], 'the HTTP bench loads with wrk: apt-get install wrk')
  await access(component).catch(() => {
    throw new Error(`${component} is not built yet: npm run build:components`)
  })
  const contenders: Contender[] = [
    { name: 'bare node:http', args: ['bare'], port: 0 },
    { name: 'hello, cell behind the ingress', args: ['ingress', component], port: 0 },
    { name: 'hello, cell listens itself', args: ['direct', component], port: 0 },
    { name: 'hello, instance per request', args: ['direct', component, '0'], port: 0 },
  ]
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]))
  try {
    for (const contender of contenders) await start(contender)
    say('warming up')
    for (const contender of contenders) await load(contender, 2)
    for (let round = 1; round <= rounds; round++) {
      for (const contender of contenders) {
        const sample = await load(contender, secondsPerRound)
        samples.get(contender.name)!.push(sample)
        say(
          `round ${round}: ${contender.name}: ${Math.round(sample.requestsPerSecond)} requests/s, p99 ${sample.p99Ms} ms, ${sample.cpuUs.toFixed(1)} µs CPU each`,
        )
      }
    }
  } finally {
    for (const { process } of contenders) process?.kill()
  }
  const of = (name: string, pick: (sample: Sample) => number) => samples.get(name)!.map(pick)
  const results: BenchResult[] = []
  for (const { name } of contenders) {
    results.push(
      summarize(
        name,
        'requests/s',
        of(name, ({ requestsPerSecond }) => requestsPerSecond),
      ),
    )
    results.push(
      summarize(
        `${name}: p99`,
        'ms',
        of(name, ({ p99Ms }) => p99Ms),
      ),
    )
    results.push(
      summarize(
        `${name}: CPU per request`,
        'µs',
        of(name, ({ cpuUs }) => cpuUs),
      ),
    )
  }
  const bare = samples.get(contenders[0]!.name)!
  const ratio = (name: string) =>
    samples.get(name)!.map(({ requestsPerSecond }, round) => requestsPerSecond / bare[round]!.requestsPerSecond)
  const atLeast = (value: number) => ({ comparison: '≥', value }) as const
  results.push(summarize('cell behind the ingress over bare', 'ratio', ratio(contenders[1]!.name), atLeast(0.35)))
  results.push(summarize('cell listens itself over bare', 'ratio', ratio(contenders[2]!.name), atLeast(0.8)))
  const byCpu = samples.get(contenders[2]!.name)!.map(({ cpuUs }, round) => bare[round]!.cpuUs / cpuUs)
  results.push(summarize('cell listens itself over bare, by CPU', 'ratio', byCpu, atLeast(0.8)))
  results.push(summarize('instance per request over bare', 'ratio', ratio(contenders[3]!.name)))
  return results
}

async function start(contender: Contender): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'http-server.ts'), ...contender.args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  contender.process = child
  contender.port = await new Promise<number>((resolve, reject) => {
    child.stdout!.once('data', (line: Buffer) => resolve(Number(line)))
    child.once('exit', (code) => reject(new Error(`${contender.name} ended with ${code}`)))
  })
}

/** @throws Error when an answer was not 2xx or a connection broke: a figure of wrong answers is none. */
async function load({ name, port, process }: Contender, seconds: number): Promise<Sample> {
  const pid = process!.pid!
  const before = await cpuTicks(pid)
  const { stdout } = await run$('wrk', [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    `http://127.0.0.1:${port}/`,
  ])
  const ticks = (await cpuTicks(pid)) - before
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${name} gave wrong answers:\n${stdout}`)
  const p99 = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout)!
  const requests = Number(/(\d+) requests in/.exec(stdout)![1])
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]),
    p99Ms: Number(p99[1]) * ({ us: 0.001, ms: 1, s: 1000 }[p99[2]!] ?? 1),
    cpuUs: (ticks * 10_000) / requests,
  }
}

/** User and system time of a process, hundredths of a second. */
async function cpuTicks(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')
  return Number(fields[13]) + Number(fields[14])
}

async function needed(tool: string, args: readonly string[], message: string): Promise<void> {
  await run$(tool, args).catch((error: { code?: unknown }) => {
    // wrk -v prints its version and exits with 1.
    if (error.code === 'ENOENT') throw new Error(message)
  })
}
