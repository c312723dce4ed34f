// Writes docs/performance.md from bench/results/*.json; so does `npm run bench -- NAME --save`. A test fails when the two differ.
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BenchReport, type BenchRow, formatFigure, metGoal } from '../bench/result.ts'

const root = join(import.meta.dirname, '..')
export const performanceDocsPath = join(root, 'docs', 'performance.md')

/** In this order; a result of another name comes last, under its name. */
const titles: Readonly<Record<string, string>> = {
  engine: 'The engine beside its peers',
  http: 'HTTP: ways into a cell',
  soak: 'A soak',
  idle: 'Idle workloads',
  lattice: 'On a lattice',
  isolation: 'Threads and processes',
  calls: 'Calls between components',
  capabilities: 'Capabilities',
  identity: 'Identity',
  egress: 'Signed requests',
  renewal: 'Renewal',
  'renewal-on-spire': 'Ten thousand identities on SPIRE',
}

type Explanation = { readonly of: RegExp; readonly why: string }

/** Why a goal is not reached, by the measures it explains, the first that fits; shown only while it is not. */
const explanations: readonly Explanation[] = [
  {
    of: /^1 MiB/,
    why: 'The body is copied into the guest’s memory and out of it again; bare node:http hands the same buffers from one socket to the other. Behind the ingress it crosses to another thread besides, both ways.',
  },
  {
    of: /^p99 behind the ingress/,
    why: 'Behind the ingress two threads have to be scheduled for a request, beside the load generator and on two cores; a listener in the cell needs one, and its p99 is bare node’s.',
  },
  {
    of: /^p99/,
    why: 'A server with less throughput has each of the 32 requests in flight wait longer. What is above that is garbage collection in the cell.',
  },
  {
    of: /^JavaScript component/,
    why: 'More than half of a request is StarlingMonkey’s own interpreter, the same on both sides, and a sixth is sending the answer: what a host can save lies in the rest.',
  },
  {
    of: /ingress/,
    why: 'A request behind the ingress crosses two threads, in batches: waking the other thread is most of its price on a virtual machine, and only a listener in the cell saves it. [Both ways compared](decisions/engine-http-paths.md).',
  },
  {
    of: /instance per request over wasmtime/,
    why: 'Instantiating is V8’s: compiled code is shared, but each instance is new objects for its functions, its tables and the host’s side of WASI, and garbage afterwards; wasmtime copies an image of memory and reuses slots of a pool.',
  },
  {
    of: /wasmtime serve/,
    why: 'With an instance for many requests `wasmtime serve` is hyper in native code. The goal of 4 was set against an instance for every request, its default: there is a row for that too.',
  },
  {
    of: /over bare/,
    why: 'The cell’s own HTTP costs less than node:http (9.2 against 12.3 µs of CPU a request); entering the guest, its canonical ABI and the objects of wasi:http come on top, and bare node:http has none of these. [The profile](decisions/engine-http-paths.md).',
  },
  {
    of: /^deploy to first 200.*JavaScript/,
    why: 'Most of it is compiling StarlingMonkey’s 8 MB of WebAssembly anew: Node offers no cache for V8’s compiled WebAssembly.',
  },
  {
    of: /^endless loop: from/,
    why: 'The thread is there in advance; making the instance on it has to wait for one of two cores, which the neighbour’s load and wrk fill.',
  },
  { of: /^import that waits/, why: 'A suspended stack is resumed by a promise, after all that is queued before it.' },
  {
    of: /^get of a guest/,
    why: 'The control thread has the connection and its credentials, so a get wakes two threads beside the server, and waking is most of a get on loopback: of 65 µs of CPU for one over Redis 18 are the client’s. A connection in the cell would save them, and bring the credentials there.',
  },
  {
    of: /^handler over plain/,
    why: 'Publisher, server, control thread and cell share two cores. Of 2.3 µs of CPU for a message in the host (0.6 in the plain subscriber) 1.35 are the cell’s: the guest’s call and what it is given; 0.85 reading NATS and handing on. [Where it goes](decisions/crossing-threads.md).',
  },
  {
    of: /over raw request and reply/,
    why: 'Four changes of thread, two on each side, cost more than the message itself. [Measured](decisions/calls-between-components.md).',
  },
  { of: /^resident/, why: '[What a workload keeps when its thread is gone](decisions/engine-parking.md).' },
  {
    of: /^start to RUNNING/,
    why: 'A component that was never seen is transpiled by jco, and its glue slimmed: 115 ms of CPU once the compiler’s thread is warm, 0.9 s the first time, most of it jco and acorn before V8 has optimised them. [What upstream would have to change](decisions/engine-slim-glue.md).',
  },
]

/** All saved results, in the order of {@link titles}. */
export function savedReports(directory = join(root, 'bench', 'results')): BenchReport[] {
  const order = Object.keys(titles)
  const rank = ({ bench }: BenchReport) => (order.includes(bench) ? order.indexOf(bench) : order.length)
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as BenchReport)
    .sort((a, b) => rank(a) - rank(b))
}

/** The whole of docs/performance.md. */
export function performanceDocs(reports: readonly BenchReport[]): string {
  return `<!-- Generated from bench/results/*.json by scripts/generate-performance-docs.ts: do not edit. -->
# Performance

Measured figures with their peers and goals. Each table is one run: peers in the same run on the same cores, rounds interleaved, so that a noisy
machine is noisy for all; the median of the rounds, and the least and the greatest. Trust the ratios more than the figures: they move with the machine.

${summaryOf(reports)}
${reports.map(sectionOf).join('\n')}
## How it is measured

\`npm run bench\` lists the benches; each builds and starts what it needs: components, NATS, Redis, SPIRE, a registry. HTTP is loaded by wrk, one thread. The
peer \`wasmtime serve\` is run where its binary is on PATH or named in \`HERALD_WASMTIME_BIN\`; a row says so where it is not. \`--save\` writes
\`bench/results/NAME.json\` and this page.
`
}

function summaryOf(reports: readonly BenchReport[]): string {
  const wanted = reports
    .flatMap(({ bench, results }) => results.map((row) => ({ bench, row })))
    .filter(({ row }) => row.goal)
  const open = wanted.filter(({ row }) => row.notRun !== undefined || !metGoal(row))
  const met = wanted.length - open.length
  if (open.length === 0) return `All ${wanted.length} goals are met.\n`
  return `${met} of ${wanted.length} goals are met. Not met:

| bench | measure | figure | goal | why |
|---|---|---|---|---|
${open.map(({ bench, row }) => tableRow([bench, row.measure, figureOf(row), goalOf(row), whyOf(row)])).join('\n')}
`
}

function whyOf(row: BenchRow): string {
  if (row.notRun !== undefined) return row.notRun
  return explanations.find(({ of }) => of.test(row.measure))?.why ?? 'not profiled yet'
}

function sectionOf({ bench, date, command, machine, results }: BenchReport): string {
  const { cpu, cores, memoryGiB, os, node, v8 } = machine
  return `## ${titles[bench] ?? bench}

\`${command}\` on ${date.slice(0, 10)}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}, Node ${node}, V8 ${v8}

| measure | median | least … greatest | samples | goal |
|---|---|---|---|---|
${results.map((row) => tableRow([row.measure, figureOf(row), spreadOf(row), row.notRun === undefined ? String(row.samples) : '', goalOf(row)])).join('\n')}
`
}

function figureOf(row: BenchRow): string {
  return row.notRun === undefined ? `${formatFigure(row.median)} ${row.unit}` : 'not run'
}

function spreadOf(row: BenchRow): string {
  if (row.notRun !== undefined) return row.notRun
  return row.samples === 1 ? '' : `${formatFigure(row.min)} … ${formatFigure(row.max)}`
}

function goalOf(row: BenchRow): string {
  if (row.goal === undefined) return ''
  const { comparison, value } = row.goal
  const verdict = row.notRun !== undefined ? '' : metGoal(row) ? ', met' : ', **not met**'
  return `${comparison} ${value}${verdict}`
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\\\|').replaceAll('\\n', ' ')).join(' | ')} |`
}

if (import.meta.main) await writeFile(performanceDocsPath, performanceDocs(savedReports()))
