import { shortState } from './deploy-workload.ts'
import { originOf } from './deployed-workloads.ts'
import type { Listed } from './get-command.ts'
import { type Fleet, type FleetHost, type FleetWorkload, nameOf } from './lattice-client.ts'
import { type OutputFormat, type Style, toneOf } from './output.ts'
import { ageOf, table } from './table.ts'

/** What `herald get` prints for people. */
export function listingText(
  what: Listed,
  fleet: Fleet,
  { output, style, now }: { output: OutputFormat; style: Style; now: Date },
): string {
  const wide = output === 'wide'
  switch (what) {
    case 'hosts':
      return fleet.hosts.length === 0 ? 'no Herald host answers\n' : hostTable(fleet.hosts, { style, wide, now })
    case 'workloads':
      return fleet.workloads.length === 0 ? 'no workloads\n' : workloadTable(fleet.workloads, { style, wide, now })
    case 'components':
      return fleet.workloads.length === 0 ? 'no components\n' : componentTable(fleet.workloads, { style, wide })
  }
}

/** What it prints for programs: every field there is, whatever the table shows. */
export function listingValue(what: Listed, fleet: Fleet): unknown {
  switch (what) {
    case 'hosts':
      return { hosts: fleet.hosts.map(hostValue) }
    case 'workloads':
      return { workloads: fleet.workloads.map(workloadValue) }
    case 'components':
      return {
        components: fleet.workloads.flatMap((workload) =>
          workload.components.map((component) => ({
            ...component,
            workload: `${workload.namespace}/${workload.name}`,
            workloadId: workload.workloadId,
            isolation: workload.isolation,
            host: nameOf(workload.host),
            state: shortState(workload.state),
          })),
        ),
      }
  }
}

export function hostValue({ id, heartbeat, acceptsWork, acceptsFiles, url }: FleetHost): object {
  const { systemMemoryTotal, systemMemoryFree, componentCount, workloadCount, startedAt, imports, exports, ...rest } =
    heartbeat
  return {
    ...rest,
    id,
    state: acceptsWork ? 'ready' : 'draining',
    url,
    acceptsFiles,
    startedAt: startedAt?.toISOString(),
    workloads: Number(workloadCount),
    components: Number(componentCount),
    memoryTotalBytes: Number(systemMemoryTotal),
    memoryFreeBytes: Number(systemMemoryFree),
    imports: imports.flatMap(interfaceNames),
    exports: exports.flatMap(interfaceNames),
  }
}

const interfaceNames = (each: FleetHost['heartbeat']['imports'][number]): string[] =>
  each.interfaces.map(
    (name) => `${each.namespace}:${each.package}/${name}${each.version === '' ? '' : `@${each.version}`}`,
  )

export function workloadValue({ host, state, since, ...workload }: FleetWorkload): object {
  return {
    ...workload,
    state: shortState(state),
    since: since?.toISOString(),
    origin: originOf({ host, state, since, ...workload }),
    host: nameOf(host),
    hostId: host.id,
  }
}

function hostTable(
  hosts: readonly FleetHost[],
  { style, wide, now }: { style: Style; wide: boolean; now: Date },
): string {
  const state = ({ acceptsWork }: FleetHost): string => (acceptsWork ? 'ready' : 'draining')
  return table(
    hosts,
    [
      { title: 'NAME', cell: nameOf },
      { title: 'ID', cell: ({ id }) => (wide ? id : id.slice(0, 8)), elastic: true },
      { title: 'STATE', cell: state, paint: (text, host) => style.tone(text, toneOf(state(host))) },
      { title: 'WORKLOADS', cell: ({ heartbeat }) => String(heartbeat.workloadCount) },
      { title: 'CPU', cell: ({ heartbeat }) => `${Math.round(heartbeat.systemCpuUsage)}%` },
      {
        title: 'MEMORY',
        cell: ({ heartbeat: { systemMemoryTotal: total, systemMemoryFree: free } }) =>
          total === 0n ? '' : `${Math.round(100 - (Number(free) / Number(total)) * 100)}%`,
      },
      { title: 'AGE', cell: ({ heartbeat }) => ageOf(heartbeat.startedAt, now) },
      { title: 'LABELS', cell: ({ heartbeat }) => pairs(heartbeat.labels), elastic: true },
      { title: 'ENVIRONMENT', cell: ({ heartbeat }) => heartbeat.environment, wide: true },
      { title: 'VERSION', cell: ({ heartbeat }) => heartbeat.version, wide: true },
      { title: 'HTTP', cell: ({ url }) => url, wide: true, elastic: true },
      {
        title: 'MACHINE',
        cell: ({ heartbeat }) => `${heartbeat.hostname} ${heartbeat.osArch}`,
        wide: true,
        elastic: true,
      },
    ],
    { style, wide },
  )
}

function workloadTable(
  workloads: readonly FleetWorkload[],
  { style, wide, now }: { style: Style; wide: boolean; now: Date },
): string {
  return table(
    workloads.toSorted((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`)),
    [
      { title: 'NAMESPACE', cell: ({ namespace }) => namespace },
      { title: 'NAME', cell: ({ name }) => name },
      {
        title: 'STATE',
        cell: ({ state }) => shortState(state),
        paint: (text, { state }) => style.tone(text, toneOf(shortState(state))),
      },
      { title: 'HOST', cell: ({ host }) => nameOf(host) },
      { title: 'COMPONENTS', cell: ({ components }) => components.map(({ name }) => name).join(','), elastic: true },
      { title: 'AGE', cell: ({ since }) => ageOf(since, now) },
      { title: 'FROM', cell: originOf },
      {
        title: 'CELLS',
        cell: ({ cells, parked }) => (parked === 0 ? String(cells) : `${cells} (${parked} parked)`),
        wide: true,
      },
      { title: 'ISOLATION', cell: ({ isolation }) => isolation, wide: true },
      { title: 'ID', cell: ({ workloadId }) => workloadId, wide: true, elastic: true },
      { title: 'HTTP HOSTS', cell: (workload) => httpHostsOf(workload).join(','), wide: true, elastic: true },
      { title: 'MESSAGE', cell: ({ message }) => message, wide: true, elastic: true },
    ],
    { style, wide },
  )
}

function componentTable(workloads: readonly FleetWorkload[], { style, wide }: { style: Style; wide: boolean }): string {
  const rows = workloads.flatMap((workload) => workload.components.map((component) => ({ workload, component })))
  return table(
    rows,
    [
      { title: 'WORKLOAD', cell: ({ workload }) => `${workload.namespace}/${workload.name}` },
      { title: 'COMPONENT', cell: ({ component }) => component.name },
      {
        title: 'STATE',
        cell: ({ workload }) => shortState(workload.state),
        paint: (text, { workload }) => style.tone(text, toneOf(shortState(workload.state))),
      },
      { title: 'SERVES', cell: ({ component }) => servesOf(component), elastic: true },
      { title: 'AUDIENCES', cell: ({ component }) => component.audiences.join(',') || '(no identity)', elastic: true },
      { title: 'HOST', cell: ({ workload }) => nameOf(workload.host) },
      { title: 'IMAGE', cell: ({ component }) => component.image, elastic: true },
      { title: 'ISOLATION', cell: ({ workload }) => workload.isolation, wide: true },
      { title: 'DIGEST', cell: ({ component }) => component.imageDigest, wide: true, elastic: true },
    ],
    { style, wide },
  )
}

const servesOf = ({ role, httpHosts, listens }: FleetWorkload['components'][number]): string =>
  role === 'http'
    ? [...(httpHosts.length === 0 ? [] : [`http ${httpHosts.join(',')}`]), ...listens].join(' ') || 'nothing'
    : role

export const httpHostsOf = ({ components }: FleetWorkload): readonly string[] => [
  ...new Set(components.flatMap(({ httpHosts }) => httpHosts)),
]

export const pairs = (record: Readonly<Record<string, string>>): string =>
  Object.entries(record)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
