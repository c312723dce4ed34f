import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { resourceFromAttributes } from '@opentelemetry/resources'
import type { Attributes } from './duration-series.ts'
import { type MetricDefinition, type MetricName, metricCatalog } from './metric-catalog.ts'
import { toMetricData } from './metric-data.ts'
import type { MetricPoint } from './metrics.ts'

/** Content type of what {@link prometheusText} makes. */
export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * Points as OpenTelemetry's metric data, in the text format of Prometheus.
 * @param resource attributes of the process, in `target_info`
 */
export function prometheusText(
  points: readonly MetricPoint[],
  { resource, startedAt, now }: { resource: Attributes; startedAt: Date; now: Date },
): string {
  const metrics = toMetricData(points, { startedAt, now, nameOf: prometheusBaseName })
  const serializer = new PrometheusSerializer(undefined, false, undefined, undefined, true)
  return serializer.serialize({
    resource: resourceFromAttributes(resource),
    scopeMetrics: [{ scope: { name: 'herald' }, metrics }],
  })
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
