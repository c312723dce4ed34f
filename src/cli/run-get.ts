import { findWorkload, parseWorkloadName, placementOf, replicasOf } from './deployed-workloads.ts'
import type { CliEnvironment } from './environment.ts'
import { hostValue, listingText, listingValue, pairs, workloadValue } from './fleet-tables.ts'
import type { Described, GetOptions, Listed } from './get-command.ts'
import { type Fleet, findHost, nameOf } from './lattice-client.ts'
import { type LatticeCommandOptions, withLattice } from './lattice-command.ts'
import { printResult, type Style, styleFor } from './output.ts'
import { ageOf, clean } from './table.ts'

export async function runGet(
  what: Listed,
  name: string | undefined,
  options: GetOptions,
  environment: CliEnvironment,
): Promise<void> {
  const { stdout, stderr, noColor } = environment
  const { output, namespace, watch, interval } = options
  await withLattice(options, environment, async (client, { signal }) => {
    const style = styleFor(stdout, noColor)
    let shown: string | undefined
    for (;;) {
      const fleet = narrowed(await client.fleet(), what, { name, namespace })
      for (const { host, reason } of fleet.silent)
        stderr.write(`${nameOf(host)} does not say what it runs: ${reason}\n`)
      const value = listingValue(what, fleet)
      const seen = JSON.stringify(watch ? withoutMeasures(value) : value)
      if (seen !== shown) {
        // On a terminal a list takes the place of the one before.
        if (watch && shown !== undefined && stdout.isTTY && output !== 'json') stdout.write('\u001b[H\u001b[2J')
        printResult(environment, output, {
          value,
          text: () => listingText(what, fleet, { output, style, now: new Date() }),
        })
        shown = seen
      }
      if (!watch) return
      await pause(interval, signal)
      if (signal.aborted) return
    }
  })
}

/** CPU and memory change without end; they are news only beside something else. */
function withoutMeasures(value: unknown): unknown {
  const measures = new Set(['systemCpuUsage', 'memoryFreeBytes'])
  return JSON.parse(JSON.stringify(value, (key, each) => (measures.has(key) ? undefined : each)))
}

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(end, durationMs)
    function end(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}

function narrowed(
  fleet: Fleet,
  what: Listed,
  { name, namespace }: { name: string | undefined; namespace: string | undefined },
): Fleet {
  const inNamespace =
    namespace === undefined ? fleet.workloads : fleet.workloads.filter((each) => each.namespace === namespace)
  if (name === undefined) return { ...fleet, workloads: inNamespace }
  if (what === 'hosts') return { ...fleet, hosts: [findHost(fleet.hosts, name)] }
  const wanted = name.includes('/') || namespace === undefined ? parseWorkloadName(name) : { namespace, name }
  return { ...fleet, workloads: findWorkload(fleet, wanted) }
}

export async function runDescribe(
  what: Described,
  name: string,
  options: LatticeCommandOptions,
  environment: CliEnvironment,
): Promise<void> {
  await withLattice(options, environment, async (client) => {
    const fleet = await client.fleet()
    const style = styleFor(environment.stdout, environment.noColor)
    if (what === 'host') {
      const host = findHost(fleet.hosts, name)
      const workloads = fleet.workloads.filter((workload) => workload.host === host)
      printResult(environment, options.output, {
        value: { ...hostValue(host), runs: workloads.map(workloadValue) },
        text: () =>
          details([
            ['name', nameOf(host)],
            ...rowsOf(hostValue(host)),
            ...(workloads.length === 0 ? [['runs', 'nothing'] as const] : []),
          ]) +
          (workloads.length === 0
            ? ''
            : `\n${listingText('workloads', { ...fleet, workloads }, { output: 'text', style, now: new Date() })}`),
      })
      return
    }
    const wanted = parseWorkloadName(name)
    const replicas = findWorkload(fleet, wanted)
    const [first] = replicas
    printResult(environment, options.output, {
      value: { ...wanted, placement: first && placementOf(first), replicas: replicas.map(workloadValue) },
      text: () => describeWorkload(replicasOf(fleet, wanted), fleet, style),
    })
  })
}

function describeWorkload(replicas: Fleet['workloads'], fleet: Fleet, style: Style): string {
  const now = new Date()
  const [first] = replicas
  if (first === undefined) return ''
  const { hostSelector, environment, hostId } = placementOf(first)
  const head = details([
    ['workload', `${first.namespace}/${first.name}`],
    ['replicas', String(replicas.length)],
    [
      'placement',
      [pairs(hostSelector), environment && `environment ${environment}`, hostId].filter(Boolean).join(', ') ||
        'any host',
    ],
    ...(first.cpuLimit === 0 ? [] : [['cpu limit', cpuLimitText(replicas)] as const]),
    ['annotations', pairs(first.annotations)],
  ])
  const messages = replicas
    .filter(({ message }) => message !== '')
    .map(({ host, message, since }) => `${nameOf(host)}, ${ageOf(since, now)} ago: ${clean(message)}\n`)
  const one = { ...fleet, workloads: replicas }
  const replicaTable = listingText('workloads', one, { output: 'wide', style, now })
  const components = listingText('components', one, { output: 'wide', style, now })
  return [head, replicaTable, components, messages.join('')].filter((part) => part !== '').join('\n')
}

function cpuLimitText(replicas: Fleet['workloads']): string {
  const sleptMs = replicas.reduce((sum, { throttledMs }) => sum + throttledMs, 0)
  return `${replicas[0]?.cpuLimit}m for each cell; they have slept ${(sleptMs / 1000).toFixed(1)} s because of it`
}

function rowsOf(value: object): (readonly [string, string])[] {
  return Object.entries(value).flatMap(([key, each]): (readonly [string, string])[] => {
    if (each === undefined || each === '' || key === 'friendlyName') return []
    if (Array.isArray(each))
      return each.length === 0 ? [] : each.map((item, at) => [at === 0 ? key : '', String(item)] as const)
    if (typeof each === 'object' && each !== null) return [[key, pairs(each as Record<string, string>)]]
    return [[key, String(each)]]
  })
}

function details(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([key]) => key.length))
  return rows.map(([key, text]) => `${key.padEnd(width)}  ${clean(text)}\n`).join('')
}
