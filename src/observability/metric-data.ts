import { AggregationTemporality, DataPointType, type MetricData } from '@opentelemetry/sdk-metrics'
import { durationBoundsS, type MetricDefinition, type MetricName, metricCatalog } from './metric-catalog.ts'
import type { MetricPoint } from './metrics.ts'

/** Points as OpenTelemetry's data model has them. @param nameOf the name that each metric is to have */
export function toMetricData(
  points: readonly MetricPoint[],
  { startedAt, now, nameOf }: { startedAt: Date; now: Date; nameOf: (name: MetricName) => string },
): MetricData[] {
  const times = { startTime: hrTime(startedAt.getTime()), endTime: hrTime(now.getTime()) }
  const byName = Map.groupBy(points, ({ name }) => name)
  return [...byName].map(([name, all]) => metricOf(name, nameOf(name), all, times))
}

type Times = { readonly startTime: [number, number]; readonly endTime: [number, number] }

function metricOf(name: MetricName, shownName: string, points: readonly MetricPoint[], times: Times): MetricData {
  const { kind, unit, description }: MetricDefinition = metricCatalog[name]
  const descriptor = { name: shownName, unit, description, valueType: 1 }
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

/** Seconds and nanoseconds. @param ms since the Unix epoch, with fractions */
export function hrTime(ms: number): [number, number] {
  const seconds = Math.floor(ms / 1_000)
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)]
}
