// `npm run bench -- NAME`: measures against a named peer in the same run and prints machine, versions, rounds, median and spread.
import { mkdirSync, writeFileSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildComponents } from '../scripts/build-components.ts'
import { performanceDocs, performanceDocsPath, savedReports } from '../scripts/generate-performance-docs.ts'
import { ensureDebianPackages, wasmCompilerPackages } from '../scripts/servers.ts'
import { type BenchReport, type BenchRow, type BenchRun, formatFigure, metGoal } from './result.ts'

type Bench = {
  readonly about: string
  /** Components that are built first, if need be. */
  readonly components?: readonly string[]
  /** Debian packages that are installed first, if need be. */
  readonly packages?: readonly string[]
  /** Where it needs other ones than most. */
  readonly defaults?: { readonly rounds?: number; readonly seconds?: number; readonly minutes?: number }
  readonly load: () => Promise<{ run: BenchRun }>
}

const benches: Record<string, Bench> = {
  capabilities: {
    about: 'keyvalue gets of a guest against the raw client, messages of a handler against a plain subscriber',
    load: () => import('./capabilities.ts'),
  },
  http: {
    about: 'the C component behind the ingress against bare node:http',
    components: ['hello-c'],
    packages: ['wrk'],
    load: () => import('./http.ts'),
  },
  engine: {
    about:
      'the engine against bare node:http, wasmtime serve and jco serve; imports, deploys, an endless loop; 4 minutes',
    packages: ['wrk', ...wasmCompilerPackages],
    defaults: { seconds: 2 },
    load: () => import('./engine.ts'),
  },
  identity: {
    about: 'store.get warm from the guest, cold against a raw gRPC call',
    components: ['whoami-c'],
    load: () => import('./identity.ts'),
  },
  lattice: {
    about: 'three hosts on NATS with a registry and SPIRE: starts, heartbeats under load, 200 workloads; 2 minutes',
    components: ['hello-c', 'whoami-c'],
    packages: ['wrk'],
    load: () => import('./lattice.ts'),
  },
  soak: {
    about: 'the whole host at 70 % of its peak for --minutes: failed requests, growth of memory',
    packages: ['wrk', ...wasmCompilerPackages],
    load: () => import('./soak.ts'),
  },
  idle: {
    about: '1,000 different native components on one host: memory, threads, a request that wakes one; 5 minutes',
    components: ['hello-c'],
    load: () => import('./idle.ts'),
  },
  calls: {
    about: 'calls of guests on another host against raw requests over NATS; calls within a workload',
    load: () => import('./calls.ts'),
  },
  isolation: {
    about: 'a component in a thread of the host and in a process of its own: start, memory, request; 1 minute',
    components: ['hello-c'],
    packages: ['wrk'],
    defaults: { seconds: 2 },
    load: () => import('./isolation.ts'),
  },
  egress: { about: 'signing one outgoing request', load: () => import('./egress.ts') },
  renewal: { about: 'how evenly 10,000 identities are renewed', load: () => import('./renewal.ts') },
  'renewal-on-spire': {
    about: 'the same on a real SPIRE with 10,000 entries: sync, first tokens, renewals, what all spend; 7 minutes',
    defaults: { minutes: 4 },
    load: () => import('./renewal-on-spire.ts'),
  },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    minutes: { type: 'string' },
    output: { type: 'string', default: 'table' },
    save: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const name = positionals[0]
const bench = name === undefined ? undefined : benches[name]
if (values.help || name === undefined || bench === undefined) {
  console.log(`usage: npm run bench -- NAME [--rounds N] [--seconds S] [--minutes M] [--output table|json] [--save]

--rounds   interleaved rounds of each side; default: 5
--seconds  length of one round of one side; default: 4, engine 2
--minutes  length of a bench that is one long run; default: 10
--save     writes bench/results/NAME.json, and docs/performance.md from all of those
`)
  for (const [key, { about }] of Object.entries(benches)) console.log(`  ${key.padEnd(16)} ${about}`)
  process.exit(values.help ? 0 : 2)
}

const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  os: `${process.platform} ${release()} ${arch()}`,
  node: process.versions.node,
  v8: process.versions.v8,
}
const progress = (line: string) => console.error(line)
const { components = [], packages = [] } = bench
await ensureDebianPackages([...packages, ...(components.length > 0 ? wasmCompilerPackages : [])], {
  purpose: 'this bench',
})
if (components.length > 0) await buildComponents(components, { log: progress })
const { run } = await bench.load()
const rounds = Number(values.rounds ?? bench.defaults?.rounds ?? 5)
const secondsPerRound = Number(values.seconds ?? bench.defaults?.seconds ?? 4)
const minutes = Number(values.minutes ?? bench.defaults?.minutes ?? 10)
const results = await run({ rounds, secondsPerRound, minutes, say: progress })

const report: BenchReport = {
  bench: name,
  date: new Date().toISOString(),
  command: [
    `npm run bench -- ${name}`,
    ...(['rounds', 'seconds', 'minutes'] as const).flatMap((key) => (values[key] ? [`--${key} ${values[key]}`] : [])),
  ].join(' '),
  machine,
  results,
}
if (values.save) {
  const directory = join(import.meta.dirname, 'results')
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(report, undefined, 2)}\n`)
  writeFileSync(performanceDocsPath, performanceDocs(savedReports()))
}
if (values.output === 'json') console.log(JSON.stringify(report, undefined, 2))
else printTable()

function printTable(): void {
  console.log(
    `\n${report.command}\n${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os}, Node ${machine.node}, V8 ${machine.v8}\n`,
  )
  const rows = results.map(rowOf)
  const header = ['measure', 'median', 'min … max', 'rounds', 'goal']
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of [header, ...rows])
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

function rowOf(result: BenchRow): string[] {
  const { measure, goal } = result
  const wanted = goal === undefined ? '' : `${goal.comparison} ${goal.value}`
  if (result.notRun !== undefined) return [measure, 'not run', result.notRun, '', wanted]
  const { median, unit, min, max, samples } = result
  const verdict = goal === undefined ? '' : metGoal(result) ? ' met' : ' NOT MET'
  return [
    measure,
    `${formatFigure(median)} ${unit}`,
    `${formatFigure(min)} … ${formatFigure(max)}`,
    String(samples),
    wanted + verdict,
  ]
}
