// `npm run bench -- NAME`: measures against a named peer in the same run and prints machine, versions, rounds, median and spread.
import { mkdirSync, writeFileSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildComponents } from '../scripts/build-components.ts'
import { ensureDebianPackages, wasmCompilerPackages } from '../scripts/servers.ts'
import type { BenchResult, BenchRun } from './result.ts'

type Bench = {
  readonly about: string
  /** Components that are built first, if need be. */
  readonly components?: readonly string[]
  /** Debian packages that are installed first, if need be. */
  readonly packages?: readonly string[]
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
  identity: {
    about: 'store.get warm from the guest, cold against a raw gRPC call',
    components: ['whoami-c'],
    load: () => import('./identity.ts'),
  },
  egress: { about: 'signing one outgoing request', load: () => import('./egress.ts') },
  renewal: { about: 'how evenly 10,000 identities are renewed', load: () => import('./renewal.ts') },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    output: { type: 'string', default: 'table' },
    save: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const name = positionals[0]
const bench = name === undefined ? undefined : benches[name]
if (values.help || name === undefined || bench === undefined) {
  console.log(
    'usage: npm run bench -- NAME [--rounds N=5] [--seconds S=4, length of one round] [--output table|json] [--save]\n',
  )
  for (const [key, { about }] of Object.entries(benches)) console.log(`  ${key.padEnd(10)} ${about}`)
  console.log('\n--save writes bench/results/NAME.json')
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
const results: BenchResult[] = await run({
  rounds: Number(values.rounds),
  secondsPerRound: Number(values.seconds),
  say: progress,
})

const report = {
  bench: name,
  date: new Date().toISOString(),
  command: `npm run bench -- ${name} --rounds ${values.rounds} --seconds ${values.seconds}`,
  machine,
  results,
}
if (values.save) {
  const directory = join(import.meta.dirname, 'results')
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(report, undefined, 2)}\n`)
}
if (values.output === 'json') console.log(JSON.stringify(report, undefined, 2))
else printTable()

function printTable(): void {
  console.log(
    `\n${report.command}\n${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os}, Node ${machine.node}, V8 ${machine.v8}\n`,
  )
  const rows = results.map((result) => [
    result.measure,
    `${format(result.median)} ${result.unit}`,
    `${format(result.min)} … ${format(result.max)}`,
    String(result.samples),
    result.goal === undefined
      ? ''
      : `${result.goal.comparison} ${result.goal.value} ${met(result) ? 'met' : 'NOT MET'}`,
  ])
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

function met({ median, goal }: BenchResult): boolean {
  if (goal === undefined) return true
  return goal.comparison === '≥' ? median >= goal.value : median <= goal.value
}

function format(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}
