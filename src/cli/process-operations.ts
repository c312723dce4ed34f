import { systemClock } from '../clock/clock.ts'
import type { Lattice } from '../lattice/lattice.ts'
import { startHealthServer } from '../observability/health-server.ts'
import type { Log } from '../observability/log.ts'
import { createMetrics, type Metrics } from '../observability/metrics.ts'
import { createProcessMetrics } from '../observability/process-metrics.ts'
import { prometheusContentType, prometheusText } from '../observability/prometheus-text.ts'
import type { SpanSink } from '../observability/span.ts'
import type { ListenAddress } from './option-values.ts'
import type { OtlpSettings } from './otlp-settings.ts'

/** Probes and metrics of a process, served, sent to a collector, or both. */
export interface ProcessOperations extends AsyncDisposable {
  /** Where they are served; `undefined` when they are only sent. */
  readonly url: string | undefined
  readonly metrics: Metrics
  /** Where spans go; `undefined` when nobody gets any. */
  readonly spans: SpanSink | undefined
}

export type ProcessOperationsOptions = {
  readonly serviceName: string
  readonly version: string
  readonly instanceId: string | undefined
  /** Where probes and metrics are served; absent: nowhere. */
  readonly address: ListenAddress | undefined
  /** Where all is sent to; absent: nowhere. */
  readonly otlp?: OtlpSettings | undefined
  /** Lines of the log, to be sent. */
  readonly onLogLine?: ((listener: (line: string) => void) => () => void) | undefined
  /** See `HealthOptions`. */
  readonly failures: () => Promise<readonly string[]>
  readonly unready: () => readonly string[]
  /** See `OtlpExportOptions`. */
  readonly closeWithinMs: () => number
  readonly log: Log
}

/** @throws ERR_HEALTH_LISTEN */
export async function openProcessOperations(options: ProcessOperationsOptions): Promise<ProcessOperations> {
  const { serviceName, version, instanceId, failures, unready, closeWithinMs, log } = options
  await using stack = new AsyncDisposableStack()
  const startedAt = new Date()
  const metrics = createMetrics({
    onSourceError: (error) =>
      log.error({ event: 'metrics.source_failed', err: error }, 'some metrics could not be read'),
  })
  metrics.addSource(stack.use(createProcessMetrics('control')).source)
  const resource = {
    'service.name': serviceName,
    'service.version': version,
    ...(instanceId !== undefined && { 'service.instance.id': instanceId }),
  }
  const server =
    options.address &&
    stack.use(
      await startHealthServer({
        ...{ ...options.address, failures, unready },
        metricsContentType: prometheusContentType,
        async metrics() {
          return prometheusText(await metrics.collect(), { resource, startedAt, now: new Date() })
        },
      }),
    )
  if (server !== undefined) log.info({ event: 'health.listening', url: server.url }, 'probes and metrics are served')
  const spans = options.otlp && (await send(options.otlp))

  /** Its libraries are loaded only by those who use them. */
  async function send({ endpoints, metricIntervalMs, attributes }: OtlpSettings): Promise<SpanSink | undefined> {
    const { openOtlpExport } = await import('../observability/otlp-export.ts')
    const opened = stack.use(
      openOtlpExport({
        ...{ endpoints, metricIntervalMs, log, closeWithinMs },
        resource: { ...resource, ...attributes },
        collect: () => metrics.collect(),
        clock: systemClock,
      }),
    )
    const stop = options.onLogLine?.(opened.logLine)
    if (stop !== undefined) stack.defer(stop)
    metrics.addSource(() => [{ name: 'herald.telemetry.dropped', value: opened.dropped }])
    log.info({ event: 'otlp.sending', ...endpoints }, 'telemetry is sent')
    return endpoints.traces === undefined ? undefined : opened.spans
  }

  const owned = stack.move()
  return { url: server?.url, metrics, spans, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Metrics of a connection to NATS. @param onConnected called each time it is connected */
export function measureLattice(lattice: Lattice, metrics: Metrics, onConnected: () => void): void {
  let connects = 0
  const onState = ({ kind }: Lattice['state']): void => {
    if (kind !== 'connected') return
    onConnected()
    if (++connects > 1) metrics.add('herald.lattice.reconnects', 1)
  }
  lattice.onStateChange(onState)
  onState(lattice.state)
  metrics.add('herald.lattice.reconnects', 0)
  metrics.addSource(() => [{ name: 'herald.lattice.connected', value: lattice.state.kind === 'connected' ? 1 : 0 }])
}
