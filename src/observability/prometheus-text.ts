import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { AggregationTemporality, DataPointType, type MetricData } from '@opentelemetry/sdk-metrics'
import type { Attributes } from './duration-series.ts'
import { durationBoundsS, type MetricDefinition, type MetricName, metricCatalog } from './metric-catalog.ts'
import type { MetricPoint } from './metrics.ts'

/** Content type of what {@link prometheusText} makes. */
export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * Points as OpenTelemetry's metric data, in the text format of Prometheus. The data model is OpenTelemetry's own, so that an exporter of
 * its protocol could be put beside this one.
 * @param resource attributes of the process, in `target_info`
 */
export function prometheusText(
  points: readonly MetricPoint[],
  { resource, startedAt, now }: { resource: Attributes; startedAt: Date; now: Date },
): string {
  const times = { startTime: hrTime(startedAt), endTime: hrTime(now) }
  const byName = Map.groupBy(points, ({ name }) => name)
  const metrics = [...byName].map(([name, all]) => toMetricData(name, all, times))
  const serializer = new PrometheusSerializer(undefined, false, undefined, undefined, true)
  return serializer.serialize({
    resource: resourceFromAttributes(resource),
    scopeMetrics: [{ scope: { name: 'herald' }, metrics }],
  })
}

type Times = { readonly startTime: [number, number]; readonly endTime: [number, number] }

function toMetricData(name: MetricName, points: readonly MetricPoint[], times: Times): MetricData {
  const { kind, unit, description }: MetricDefinition = metricCatalog[name]
  const descriptor = { name: prometheusBaseName(name), unit, description, valueType: 1 }
  const aggregationTemporality = AggregationTemporality.CUMULATIVE
  if (kind === 'histogram') {
    const dataPoints = points.flatMap((point) =>
      'counts' in point
        ? {
            ...times,
            attributes: point.attributes,
            value: {
              buckets: { boundaries: [...durationBoundsS], counts: [...point.counts] },
              sum: point.sumS,
              count: point.count,
            },
          }
        : [],
    )
    return { descriptor, aggregationTemporality, dataPointType: DataPointType.HISTOGRAM, dataPoints }
  }
  const dataPoints = points.flatMap((point) =>
    'value' in point ? { ...times, attributes: point.attributes ?? {}, value: point.value } : [],
  )
  if (kind === 'gauge') return { descriptor, aggregationTemporality, dataPointType: DataPointType.GAUGE, dataPoints }
  return { descriptor, aggregationTemporality, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
}

/** The name without `_total`, `_bucket` and so on: the unit is added as OpenTelemetry's rules for Prometheus have it, which the serializer leaves out. */
export function prometheusBaseName(name: MetricName): string {
  const { unit, kind }: MetricDefinition = metricCatalog[name]
  const suffixes: Readonly<Record<string, string>> = {
    s: '_seconds',
    By: '_bytes',
    '1': kind === 'gauge' ? '_ratio' : '',
  }
  return `${name.replaceAll('.', '_')}${suffixes[unit] ?? ''}`
}

function hrTime(date: Date): [number, number] {
  const ms = date.getTime()
  return [Math.floor(ms / 1000), (ms % 1000) * 1e6]
}
