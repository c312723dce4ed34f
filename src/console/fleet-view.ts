import type { ConsoleFleet, ConsoleHost, ConsoleWorkload } from './console-fleet.ts'

/** What the page gets, as JSON. Times are ms since the epoch; every text is bounded and holds nothing invisible. */
export type FleetView = {
  readonly atMs: number
  readonly hosts: readonly HostView[]
  readonly workloads: readonly WorkloadView[]
  /** Something was left out: there is more than the page shows. */
  readonly truncated: boolean
}

export type HostView = {
  readonly id: string
  readonly name: string
  readonly state: 'ready' | 'draining' | 'not answering'
  readonly version: string
  readonly labels: readonly string[]
  readonly url: string
  readonly cpuPercent: number
  /** `undefined` when the host does not know. */
  readonly memoryPercent: number | undefined
  readonly startedAtMs: number | undefined
  /** When it last answered, its heartbeat in the answer. */
  readonly lastHeartbeatMs: number
  /** Why what it runs is not known, or not all of it; else empty. */
  readonly problem: string
}

export type WorkloadView = {
  readonly id: string
  readonly hostId: string
  readonly hostName: string
  readonly namespace: string
  readonly name: string
  readonly state: string
  readonly message: string
  readonly sinceMs: number | undefined
  readonly components: readonly ComponentView[]
}

export type ComponentView = {
  readonly name: string
  readonly image: string
  readonly digest: string
  readonly serves: string
  readonly audiences: readonly string[]
}

/** Most entries of one view. */
export const viewLimits = { hosts: 500, workloads: 5_000, components: 64, list: 32, text: 256, message: 2_000 } as const

/** Of one answer of all hosts, taken at `nowMs`. */
export function fleetView(fleet: ConsoleFleet, nowMs: number): FleetView {
  const byId = Map.groupBy(fleet.hosts, ({ id }) => id)
  const hosts = [...byId.values()].flatMap((same) => same.slice(0, 1)).slice(0, viewLimits.hosts)
  const problems = new Map(fleet.silent.map(({ host, reason }) => [host.id, reason]))
  for (const [id, { length }] of byId) if (length > 1) problems.set(id, `${length} answer as this host`)
  const names = new Map(hosts.map((host) => [host.id, nameOf(host)]))
  const replicas = new Map(fleet.workloads.map((each) => [JSON.stringify([each.host.id, each.workloadId]), each]))
  const workloads = [...replicas.values()].slice(0, viewLimits.workloads)
  return {
    atMs: nowMs,
    hosts: hosts.map((host) => hostView(host, problems.get(host.id) ?? '', nowMs)),
    workloads: workloads.map((workload) => workloadView(workload, names.get(workload.host.id) ?? workload.host.id)),
    truncated:
      hosts.length < byId.size ||
      workloads.length < replicas.size ||
      workloads.some(({ components }) => components.length > viewLimits.components),
  }
}

function hostView(host: ConsoleHost, problem: string, nowMs: number): HostView {
  const { heartbeat, id, acceptsWork, url } = host
  const [total, free] = [Number(heartbeat.systemMemoryTotal), Number(heartbeat.systemMemoryFree)]
  return {
    id: bounded(id),
    name: bounded(nameOf(host)),
    state: acceptsWork ? 'ready' : 'draining',
    version: bounded(heartbeat.version),
    labels: list(Object.entries(heartbeat.labels).map(([key, value]) => `${key}=${value}`)),
    url: bounded(url),
    cpuPercent: percent(heartbeat.systemCpuUsage),
    memoryPercent: total === 0 ? undefined : percent(100 - (free / total) * 100),
    startedAtMs: heartbeat.startedAt?.getTime(),
    lastHeartbeatMs: nowMs,
    problem: bounded(problem, viewLimits.message),
  }
}

function workloadView(workload: ConsoleWorkload, hostName: string): WorkloadView {
  return {
    id: bounded(workload.workloadId),
    hostId: bounded(workload.host.id),
    hostName: bounded(hostName),
    namespace: bounded(workload.namespace),
    name: bounded(workload.name),
    state: bounded(workload.state.replace(/^WORKLOAD_STATE_/, '').toLowerCase()),
    message: bounded(workload.message, viewLimits.message),
    sinceMs: workload.since?.getTime(),
    components: workload.components.slice(0, viewLimits.components).map((component) => ({
      name: bounded(component.name),
      image: bounded(component.image),
      digest: bounded(component.imageDigest),
      serves: bounded(
        component.role === 'http' ? `http ${component.httpHosts.slice(0, viewLimits.list).join(', ')}` : component.role,
      ),
      audiences: list(component.audiences),
    })),
  }
}

const nameOf = ({ id, heartbeat }: ConsoleHost): string => (heartbeat.friendlyName === '' ? id : heartbeat.friendlyName)

function list(texts: readonly string[]): readonly string[] {
  const shown = texts.slice(0, viewLimits.list).map((text) => bounded(text))
  return texts.length > shown.length ? [...shown, `and ${texts.length - shown.length} more`] : shown
}

const percent = (value: number): number => Math.min(100, Math.max(0, Math.round(value)))

/** Control and format characters (those that turn the direction of text among them) would let one name look like another. */
function bounded(text: string, most: number = viewLimits.text): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text
  return cut.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD')
}
