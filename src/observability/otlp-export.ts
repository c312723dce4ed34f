import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { Clock } from '../clock/clock.ts'
import type { Attributes } from './duration-series.ts'
import type { Log } from './log.ts'
import { hrTime, toMetricData } from './metric-data.ts'
import type { MetricPoint } from './metrics.ts'
import type { FinishedSpan } from './span.ts'

/** Where each signal goes, whole addresses such as `http://127.0.0.1:4318/v1/traces`; absent: nowhere. */
export type OtlpEndpoints = {
  readonly traces: string | undefined
  readonly metrics: string | undefined
  readonly logs: string | undefined
}

export type OtlpExportOptions = {
  readonly endpoints: OtlpEndpoints
  readonly resource: Attributes
  /** Asked before metrics are sent. */
  readonly collect: () => Promise<readonly MetricPoint[]>
  readonly metricIntervalMs: number
  /** Asked when it is disposed of. */
  readonly closeWithinMs: () => number
  readonly clock: Clock
  readonly log: Log
}

/**
 * Sends what a host tells to a collector, by OTLP over HTTP in JSON. Disposal sends what waits, within `closeWithinMs`; what is under way then
 * is left to itself, and may keep the process from ending by itself.
 */
export interface OtlpExport extends AsyncDisposable {
  readonly spans: (spans: readonly FinishedSpan[]) => void
  /** A line of the log, as written. */
  readonly logLine: (line: string) => void
  /** Spans and log records that were not sent, because the collector was slow or away. */
  readonly dropped: number
}

const scope = { name: 'herald' }
/** Of each signal: more are dropped, the oldest first. */
const maxQueued = 4_096
const maxBatch = 512
const flushMs = 1_000

export function openOtlpExport(options: OtlpExportOptions): OtlpExport {
  const { endpoints, clock, log } = options
  const startedAt = new Date(clock.nowMs())
  const resource = resourceFromAttributes(options.resource)
  const ending = new AbortController()
  const traces = endpoints.traces === undefined ? undefined : new OTLPTraceExporter({ url: endpoints.traces })
  const logs = endpoints.logs === undefined ? undefined : new OTLPLogExporter({ url: endpoints.logs })
  const metrics = endpoints.metrics === undefined ? undefined : new OTLPMetricExporter({ url: endpoints.metrics })
  const onFailure = createFailureReport(log)
  const queues = [
    traces && createQueue<ReadableSpan>((batch, done) => traces.export(batch, done), onFailure),
    logs && createQueue<ReadableLogRecord>((batch, done) => logs.export(batch, done), onFailure),
  ] as const
  const [spanQueue, logQueue] = queues

  async function sendMetrics(): Promise<void> {
    if (metrics === undefined) return
    const points = await options.collect()
    const now = new Date(clock.nowMs())
    const data = toMetricData(points, { startedAt, now, nameOf: (name) => name })
    await new Promise<void>((resolve) =>
      metrics.export({ resource, scopeMetrics: [{ scope, metrics: data }] }, ({ error }) => {
        if (error !== undefined) onFailure(error)
        resolve()
      }),
    )
  }

  async function every(intervalMs: number, work: () => Promise<unknown>): Promise<void> {
    while (!ending.signal.aborted) {
      await clock.sleep(intervalMs, { signal: ending.signal }).catch(() => {})
      if (!ending.signal.aborted) await work().catch(onFailure)
    }
  }
  // Each by itself: one signal that is not taken does not hold up the other.
  for (const queue of queues) if (queue !== undefined) void every(flushMs, () => queue.flush())
  void every(options.metricIntervalMs, sendMetrics)

  return {
    spans(spans) {
      for (const span of spans) spanQueue?.add(toReadableSpan(span, resource))
    },
    logLine(line) {
      const record = logQueue && toLogRecord(line, resource, clock.nowMs())
      if (record !== undefined) logQueue?.add(record)
    },
    get dropped() {
      return queues.reduce((sum, queue) => sum + (queue?.dropped ?? 0), 0)
    },
    async [Symbol.asyncDispose]() {
      ending.abort(new Error('the host is ending'))
      const limit = new AbortController()
      const sent = Promise.all([...queues.map((queue) => queue?.flush()), sendMetrics()]).catch(() => {})
      await Promise.race([sent, clock.sleep(options.closeWithinMs(), { signal: limit.signal }).catch(() => {})])
      limit.abort(new Error('sent'))
      // Shutting down waits for what is under way, however long: whoever ends does not.
      for (const exporter of [traces, logs, metrics]) void exporter?.shutdown().catch(() => {})
    },
  }
}

type Exported = { readonly error?: Error }

function createQueue<T>(
  send: (batch: T[], done: (result: Exported) => void) => void,
  onFailure: (error: unknown) => void,
): { add(item: T): void; flush(): Promise<void>; readonly dropped: number } {
  const waiting: T[] = []
  let dropped = 0
  let sending: Promise<void> | undefined

  async function sendAll(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, maxBatch)
      const { error } = await new Promise<Exported>((resolve) => send(batch, resolve))
      if (error === undefined) continue
      dropped += batch.length
      onFailure(error)
      return
    }
  }

  return {
    add(item) {
      if (waiting.length >= maxQueued) {
        waiting.shift()
        dropped += 1
      }
      waiting.push(item)
    },
    flush() {
      sending ??= sendAll().finally(() => {
        sending = undefined
      })
      return sending
    },
    get dropped() {
      return dropped
    },
  }
}

/** The first failure is told, and then at most one a minute: the log would go to the same collector. */
function createFailureReport(log: Log): (error: unknown) => void {
  let quietUntilMs = 0
  return (error) => {
    const nowMs = performance.now()
    if (nowMs < quietUntilMs) return
    quietUntilMs = nowMs + 60_000
    const reason = error instanceof Error ? error.message : String(error)
    log.warn({ event: 'otlp.failed', reason: reason.slice(0, 500) }, 'telemetry could not be sent')
  }
}

const spanKinds = { internal: 0, server: 1, client: 2, producer: 3, consumer: 4 } as const

function toReadableSpan(span: FinishedSpan, resource: Resource): ReadableSpan {
  const { traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, error } = span
  return {
    name,
    kind: spanKinds[kind],
    spanContext: () => ({ traceId, spanId, traceFlags: 1 }),
    ...(parentSpanId !== undefined && { parentSpanContext: { traceId, spanId: parentSpanId, traceFlags: 1 } }),
    startTime: hrTime(startMs),
    endTime: hrTime(endMs),
    duration: hrTime(endMs - startMs),
    status: error === undefined ? { code: 0 } : { code: 2, message: error },
    attributes: { ...attributes } as ReadableSpan['attributes'],
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

/** pino's levels → OpenTelemetry's severity numbers. */
const severities: Readonly<Record<number, readonly [number, string]>> = {
  10: [1, 'TRACE'],
  20: [5, 'DEBUG'],
  30: [9, 'INFO'],
  40: [13, 'WARN'],
  50: [17, 'ERROR'],
  60: [21, 'FATAL'],
}

function toLogRecord(line: string, resource: Resource, nowMs: number): ReadableLogRecord | undefined {
  let record: Record<string, unknown>
  try {
    record = JSON.parse(line)
  } catch {
    return undefined
  }
  const { level, time, msg, event, ...rest } = record
  const [severityNumber, severityText] = severities[Number(level)] ?? [0, '']
  const atMs = typeof time === 'string' ? Date.parse(time) : Number.NaN
  return {
    hrTime: hrTime(Number.isFinite(atMs) ? atMs : nowMs),
    hrTimeObserved: hrTime(nowMs),
    severityNumber,
    severityText,
    body: String(msg ?? ''),
    ...(typeof event === 'string' && { eventName: event }),
    attributes: flattened(rest) as ReadableLogRecord['attributes'],
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: 0,
  }
}

/** `{component: {workload: 'api'}}` → `{'component.workload': 'api'}`, two levels deep. */
function flattened(record: Record<string, unknown>): Record<string, string | number | boolean> {
  const pairs = Object.entries(record).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([inner, each]) => [`${key}.${inner}`, each] as const)
      : [[key, value] as const],
  )
  return Object.fromEntries(
    pairs.flatMap(([key, value]) => {
      if (value === null || value === undefined) return []
      const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      return [[key, plain ? value : JSON.stringify(value)] as const]
    }),
  )
}
