import type { AuditFeed } from '../control/herald-audit-feed.ts'
import type { Host } from '../host/host.ts'
import type { SvidAuthority } from '../identity/svid-authority.ts'
import type { SvidSource } from '../identity/svid-source.ts'
import type { Ingress } from '../ingress/ingress.ts'
import type { Lattice } from '../lattice/lattice.ts'
import { type DurationPoint, mergeDurations } from '../observability/duration-series.ts'
import type { Log } from '../observability/log.ts'
import type { MetricPoint } from '../observability/metrics.ts'
import { eventLoopPoints } from '../observability/process-metrics.ts'
import { createReadiness } from '../observability/readiness.ts'
import { Tracer, type Tracing } from '../observability/tracer.ts'
import type { TrailEvent } from './audit-trail.ts'
import { countAuditEvent } from './count-audit-event.ts'
import { measureAuthority } from './measure-authority.ts'
import type { ListenAddress } from './option-values.ts'
import type { OtlpSettings } from './otlp-settings.ts'
import { measureLattice, openProcessOperations } from './process-operations.ts'

/** Probes and metrics of one host, gathered from its parts as they come up. */
export interface HostOperations extends AsyncDisposable {
  /** Where they are served; `undefined` when they are only sent. */
  readonly url: string | undefined
  /** `undefined` when nobody gets traces. */
  readonly tracing: Tracing | undefined
  /** The same authority, its fetches timed. */
  measureAuthority(authority: SvidAuthority): SvidAuthority
  /** Counts what happened with identities. */
  count(event: TrailEvent): void
  /** Durations of requests that did not come through the ingress. */
  countRequests(points: readonly DurationPoint[]): void
  watch(parts: { host: Host; ingress: Ingress; svids: SvidSource; audit: AuditFeed }): void
  watchLattice(lattice: Lattice): void
  /** Another host has this one's id and was started before: while it is there, this one is not ready. */
  keepsSilent(silent: boolean): void
  /** All that was given on the command line serves. */
  serving(): void
}

export type HostOperationsOptions = {
  /** Where probes and metrics are served; absent: nowhere. */
  readonly address: ListenAddress | undefined
  /** Where all is sent to; absent: nowhere. */
  readonly otlp?: OtlpSettings | undefined
  /** Lines of the log, to be sent. */
  readonly onLogLine?: (listener: (line: string) => void) => () => void
  readonly version: string
  readonly hostId: string | undefined
  /** Whether the host is ready only once NATS was connected. */
  readonly lattice: boolean
  readonly log: Log
  /** The host is not ready from the moment it aborts. */
  readonly signal: AbortSignal
  /** What is left of it from that moment on bounds how long the last telemetry may take. */
  readonly drainTimeoutMs: number
}

/** How long a thread may take to answer a probe. */
const answerWithinMs = 2_000
/** A thread that was told to end and has not in this time will not: only a new process helps. */
const endWithinMs = 10_000
/** How long a collector may take what is left at the end. A near one needs some ms, even where the drain has used up its time. */
const longestFlushMs = 2_000
const shortestFlushMs = 200

/** @throws ERR_HEALTH_LISTEN */
export async function openHostOperations(options: HostOperationsOptions): Promise<HostOperations> {
  const { log, signal } = options
  await using stack = new AsyncDisposableStack()
  const readiness = createReadiness()
  const onServing = readiness.require('http', 'workloads are being started')
  const onConnected = options.lattice ? readiness.require('nats', 'it has not been connected yet') : () => {}
  let onAlone = (): void => {}
  let endsAtMs = Number.POSITIVE_INFINITY
  const onSignal = (): void => {
    readiness.end('the host is ending')
    endsAtMs = performance.now() + options.drainTimeoutMs
  }
  signal.addEventListener('abort', onSignal, { once: true })
  if (signal.aborted) onSignal()
  stack.defer(() => signal.removeEventListener('abort', onSignal))

  let direct: readonly DurationPoint[] = []
  let watched: { host: Host; ingress: Ingress } | undefined

  /** A guest that does not yield is no failure: its cell is ended. One whose thread cannot be ended is. */
  async function failures(): Promise<readonly string[]> {
    if (watched === undefined) return []
    const readings = await watched.ingress.measure({ timeoutMs: answerWithinMs })
    return [
      ...readings.flatMap((reading, index) =>
        reading === undefined ? [`ingress thread ${index} did not answer within ${answerWithinMs / 1000} s`] : [],
      ),
      ...watched.host
        .status()
        .flatMap(({ namespace, name, metrics }) =>
          metrics.some(({ endingMs }) => endingMs > endWithinMs)
            ? [`a cell of ${namespace}/${name} cannot be ended`]
            : [],
        ),
    ]
  }

  const { address, otlp, onLogLine, version, hostId: instanceId } = options
  const { url, metrics, spans } = stack.use(
    await openProcessOperations({
      ...{ serviceName: 'herald-host', version, instanceId, address, otlp, onLogLine, log },
      ...{ failures, unready: readiness.reasons },
      closeWithinMs: () => Math.min(longestFlushMs, Math.max(shortestFlushMs, endsAtMs - performance.now())),
    }),
  )
  const tracing = otlp && spans && { sampling: otlp.sampling, onSpans: spans, tracer: new Tracer(otlp.sampling, spans) }
  if (tracing !== undefined) stack.defer(() => tracing.tracer.flush())

  const owned = stack.move()
  return {
    url,
    tracing,
    measureAuthority: (authority) => measureAuthority(authority, metrics, tracing?.tracer),
    count: (event) => countAuditEvent(event, metrics),
    countRequests(points) {
      direct = mergeDurations([...direct, ...points])
    },
    watch({ host, ingress, svids, audit }) {
      watched = { host, ingress }
      metrics.addSource(() => workloadPoints(host))
      metrics.addSource(() => ingressPoints(ingress, direct, host))
      metrics.addSource(() => [
        { name: 'herald.svid.cached', value: svids.heldCount() },
        { name: 'herald.audit.published', value: audit.counts.published },
        { name: 'herald.audit.dropped', value: audit.counts.dropped },
      ])
    },
    watchLattice: (lattice) => measureLattice(lattice, metrics, onConnected),
    keepsSilent(silent) {
      onAlone()
      if (silent) onAlone = readiness.require('host-id', 'another host has the same id and was started before')
    },
    serving: onServing,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const states = ['starting', 'running', 'completed', 'stopping', 'stopped', 'failed'] as const

function workloadPoints(host: Host): MetricPoint[] {
  const workloads = host.status()
  const sum = (metrics: (typeof workloads)[number]['metrics'], name: keyof (typeof metrics)[number]): number =>
    metrics.reduce((total, each) => total + each[name], 0)
  // Replicas that this host was asked for one by one have one name each, upstream's; two of one name are added up.
  const byName = Map.groupBy(workloads, ({ namespace, name }) => JSON.stringify([namespace, name]))
  return [
    ...states.map(
      (state): MetricPoint => ({
        name: 'herald.workload.count',
        value: workloads.filter((each) => each.state.kind === state).length,
        attributes: { 'herald.workload.state': state },
      }),
    ),
    ...[...byName.values()].flatMap((same): MetricPoint[] => {
      const { namespace = '', name = '' } = same[0] ?? {}
      const metrics = same.flatMap((each) => each.metrics)
      const attributes = { 'herald.workload.namespace': namespace, 'herald.workload.name': name }
      return [
        { name: 'herald.cell.requests', value: sum(metrics, 'requests'), attributes },
        { name: 'herald.cell.failures', value: sum(metrics, 'failures'), attributes },
        { name: 'herald.cell.traps', value: sum(metrics, 'traps'), attributes },
        { name: 'herald.cell.restarts', value: sum(metrics, 'restarts'), attributes },
        { name: 'herald.cell.watchdog_kills', value: sum(metrics, 'watchdogKills'), attributes },
        { name: 'herald.cell.egress_refusals', value: sum(metrics, 'egressRefusals'), attributes },
        { name: 'herald.cell.cpu_time', value: sum(metrics, 'cpuMs') / 1000, attributes },
        { name: 'herald.cell.cpu_limit', value: sum(metrics, 'cpuLimitMillicores') / 1000, attributes },
        { name: 'herald.cell.cpu_throttled_time', value: sum(metrics, 'throttledMs') / 1000, attributes },
        { name: 'herald.cell.cpu_refusals', value: sum(metrics, 'cpuRefusals'), attributes },
        { name: 'herald.cell.handle_limits', value: sum(metrics, 'handleLimits'), attributes },
        { name: 'herald.cell.active_requests', value: sum(metrics, 'inFlight'), attributes },
        { name: 'herald.cell.instances', value: sum(metrics, 'instances'), attributes },
        { name: 'herald.cell.parked', value: sum(metrics, 'parked'), attributes },
        { name: 'herald.cell.processes', value: sum(metrics, 'processes'), attributes },
        { name: 'herald.cell.wakes', value: sum(metrics, 'wakes'), attributes },
      ]
    }),
  ]
}

/** @param direct durations of requests that workloads took at addresses of their own */
async function ingressPoints(ingress: Ingress, direct: readonly DurationPoint[], host: Host): Promise<MetricPoint[]> {
  const readings = await ingress.measure({ timeoutMs: answerWithinMs })
  const answered = readings.flatMap((reading, index) => (reading === undefined ? [] : [{ ...reading, index }]))
  const sum = (of: 'activeRequests' | 'connections'): number => answered.reduce((total, each) => total + each[of], 0)
  const activeAtListeners = host
    .status()
    .flatMap((each) => each.metrics)
    .reduce((total, { listenerRequests }) => total + listenerRequests, 0)
  return [
    ...mergeDurations([...answered.flatMap(({ durations }) => durations), ...direct]).map(
      (point): MetricPoint => ({ name: 'http.server.request.duration', ...point }),
    ),
    {
      name: 'http.server.active_requests',
      value: sum('activeRequests') + activeAtListeners,
      attributes: { 'url.scheme': 'http' },
    },
    { name: 'herald.ingress.connections', value: sum('connections') },
    ...answered.flatMap(({ eventLoop, index }) => eventLoopPoints(`ingress-${index}`, eventLoop)),
  ]
}
