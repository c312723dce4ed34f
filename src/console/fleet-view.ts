import type { ConsoleActivity, ConsoleEvent, ConsoleFleet, ConsoleHost, ConsoleWorkload } from './console-fleet.ts'

/** What the page gets, as JSON. Times are ms since the epoch; every text is bounded and holds nothing invisible. */
export type FleetView = {
  readonly atMs: number
  readonly hosts: readonly HostView[]
  readonly workloads: readonly WorkloadView[]
  /** Who got tokens for what, and called what; of all replicas together. */
  readonly edges: readonly EdgeView[]
  /** What happened with identities but for repeated deliveries, newest first. */
  readonly events: readonly EventView[]
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
  /** Since it was started; `undefined` when its host does not tell. */
  readonly requests: number | undefined
  readonly failures: number | undefined
  readonly inFlight: number | undefined
  /** Requests a second since the view before; `undefined` in the first one. */
  readonly ratePerS: number | undefined
  readonly components: readonly ComponentView[]
}

export type ComponentView = {
  readonly name: string
  readonly image: string
  readonly digest: string
  readonly serves: string
  readonly audiences: readonly string[]
  /** As which it got tokens. */
  readonly spiffeIds: readonly string[]
}

export type EdgeView = {
  /** `team/api`, or `team/api/component` when it has several. */
  readonly from: string
  readonly kind: (typeof edgeKinds)[keyof typeof edgeKinds]
  readonly to: string
  readonly count: number
  readonly refused: number
  readonly spiffeId: string
  readonly lastAtMs: number | undefined
}

export type EventView = {
  readonly atMs: number | undefined
  readonly hostName: string
  /** `identity.granted` */
  readonly event: string
  readonly component: string
  readonly about: string
  readonly spiffeId: string
  /** Why it was refused or evicted. */
  readonly reason: string
  readonly count: number
  readonly expiresAtMs: number | undefined
  readonly tokenId: string
}

/** Most entries of one view. */
export const viewLimits = {
  hosts: 500,
  workloads: 5_000,
  components: 64,
  list: 32,
  edges: 500,
  events: 100,
  text: 256,
  message: 2_000,
} as const

/** Of one answer of all hosts, taken at `nowMs`. */
export function fleetView(fleet: ConsoleFleet, nowMs: number): FleetView {
  const byId = Map.groupBy(fleet.hosts, ({ id }) => id)
  const hosts = [...byId.values()].flatMap((same) => same.slice(0, 1)).slice(0, viewLimits.hosts)
  const problems = new Map(fleet.silent.map(({ host, reason }) => [host.id, reason]))
  for (const [id, { length }] of byId) if (length > 1) problems.set(id, `${length} answer as this host`)
  const names = new Map(hosts.map((host) => [host.id, nameOf(host)]))
  const replicas = new Map(fleet.workloads.map((each) => [JSON.stringify([each.host.id, each.workloadId]), each]))
  const workloads = [...replicas.values()].slice(0, viewLimits.workloads)
  const activities = new Map(fleet.activity.map((each) => [JSON.stringify([each.host.id, each.workloadId]), each]))
  const activityOf = ({ host, workloadId }: ConsoleWorkload): ConsoleActivity | undefined =>
    activities.get(JSON.stringify([host.id, workloadId]))
  const edges = edgeViews(workloads, activityOf)
  return {
    atMs: nowMs,
    hosts: hosts.map((host) => hostView(host, problems.get(host.id) ?? '', nowMs)),
    workloads: workloads.map((workload) =>
      workloadView(workload, names.get(workload.host.id) ?? workload.host.id, activityOf(workload)),
    ),
    edges: edges.slice(0, viewLimits.edges),
    events: eventViews(fleet.events, (id) => names.get(id) ?? id).slice(0, viewLimits.events),
    truncated:
      hosts.length < byId.size ||
      workloads.length < replicas.size ||
      edges.length > viewLimits.edges ||
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

function workloadView(
  workload: ConsoleWorkload,
  hostName: string,
  activity: ConsoleActivity | undefined,
): WorkloadView {
  return {
    id: bounded(workload.workloadId),
    hostId: bounded(workload.host.id),
    hostName: bounded(hostName),
    namespace: bounded(workload.namespace),
    name: bounded(workload.name),
    state: bounded(workload.state.replace(/^WORKLOAD_STATE_/, '').toLowerCase()),
    message: bounded(workload.message, viewLimits.message),
    sinceMs: workload.since?.getTime(),
    requests: activity && countOf(activity.requests),
    failures: activity && countOf(activity.failures),
    inFlight: activity?.inFlight,
    ratePerS: undefined,
    components: workload.components.slice(0, viewLimits.components).map((component) => ({
      name: bounded(component.name),
      image: bounded(component.image),
      digest: bounded(component.imageDigest),
      serves: bounded(
        component.role === 'http'
          ? `http ${[...component.httpHosts, ...component.listens].slice(0, viewLimits.list).join(', ')}`
          : component.role,
      ),
      audiences: list(component.audiences),
      spiffeIds: list([
        ...new Set(
          (activity?.edges ?? []).flatMap(({ component: of, spiffeId }) =>
            of === component.name && spiffeId !== '' ? [spiffeId] : [],
          ),
        ),
      ]),
    })),
  }
}

const edgeKinds = {
  EDGE_AUDIENCE: 'audience',
  EDGE_ORIGIN: 'origin',
  EDGE_HOST: 'host',
  EDGE_COMPONENT: 'component',
  EDGE_PUBLISHED: 'published',
  EDGE_HANDLED: 'handled',
} as const

/** Replicas of one workload are one end of an edge. What was used most comes first. */
function edgeViews(
  workloads: readonly ConsoleWorkload[],
  activityOf: (workload: ConsoleWorkload) => ConsoleActivity | undefined,
): readonly EdgeView[] {
  const merged = new Map<string, EdgeView>()
  for (const workload of workloads) {
    const name = `${workload.namespace}/${workload.name}`
    for (const { component, kind, target, count, refused, spiffeId, lastAt } of activityOf(workload)?.edges ?? []) {
      const from = bounded(workload.components.length > 1 ? `${name}/${component}` : name)
      const key = JSON.stringify([from, kind, target])
      const known = merged.get(key)
      if (known === undefined && merged.size > viewLimits.edges * 4) continue
      merged.set(key, {
        from,
        kind: edgeKinds[kind],
        to: bounded(target),
        count: (known?.count ?? 0) + countOf(count),
        refused: (known?.refused ?? 0) + countOf(refused),
        spiffeId: bounded(spiffeId === '' ? (known?.spiffeId ?? '') : spiffeId),
        lastAtMs: Math.max(known?.lastAtMs ?? 0, lastAt?.getTime() ?? 0) || undefined,
      })
    }
  }
  return [...merged.values()].toSorted((a, b) => b.count - a.count || b.refused - a.refused)
}

/** What is the same but for its time is one; that tokens went again is in the edges. */
function eventViews(events: readonly ConsoleEvent[], hostNameOf: (id: string) => string): readonly EventView[] {
  const merged = new Map<string, EventView>()
  for (const event of events.toReversed()) {
    const view = eventView(event, hostNameOf(event.hostId))
    if (view.event.endsWith('.delivered')) continue
    const key = JSON.stringify([view.event, view.component, view.about, view.spiffeId, view.reason, view.hostName])
    const newer = merged.get(key)
    merged.set(key, newer === undefined ? view : { ...newer, count: newer.count + view.count })
  }
  return [...merged.values()]
}

function eventView(event: ConsoleEvent, hostName: string): EventView {
  const { at, component, code, reason, expiresAt } = event
  return {
    atMs: at?.getTime(),
    hostName: bounded(hostName),
    event: bounded(event.event.replace(/^audit\./, '')),
    component:
      component === undefined
        ? ''
        : bounded(
            [component.namespace, component.workload, component.component]
              .filter((part, index, parts) => index < 2 || part !== parts[1])
              .join('/'),
          ),
    about: bounded(event.target || event.audience || event.binding),
    spiffeId: bounded(event.spiffeId),
    reason: bounded([code, reason].filter((part) => part !== '').join(': '), viewLimits.message),
    count: Math.max(1, event.count),
    expiresAtMs: expiresAt?.getTime(),
    tokenId: bounded(event.tokenId),
  }
}

/** Above 2^53 nobody counts. */
const countOf = (count: bigint): number => Number(count < 2n ** 53n ? count : 2n ** 53n)

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
