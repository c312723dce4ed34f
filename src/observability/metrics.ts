import { type Attributes, type DurationPoint, DurationSeries, overflowAttributes } from './duration-series.ts'
import type { MetricName, metricCatalog } from './metric-catalog.ts'

type OfKind<Kind extends string> = {
  [Name in MetricName]: (typeof metricCatalog)[Name]['kind'] extends Kind ? Name : never
}[MetricName]

/** One value of one metric. */
export type MetricPoint =
  | { readonly name: OfKind<'counter' | 'gauge'>; readonly value: number; readonly attributes?: Attributes }
  | ({ readonly name: OfKind<'histogram'> } & DurationPoint)

/** Read at every scrape. */
export type MetricSource = () => Iterable<MetricPoint> | Promise<Iterable<MetricPoint>>

/** The metrics of one host: some are counted here, others are read from their owners at every scrape. */
export interface Metrics {
  add(name: OfKind<'counter'>, value: number, attributes?: Attributes): void
  record(name: OfKind<'histogram'>, durationS: number, attributes?: Attributes): void
  addSource(source: MetricSource): void
  /** A source that fails is left out, and `onSourceError` told. */
  collect(): Promise<readonly MetricPoint[]>
}

export function createMetrics({
  maxSeries = 200,
  onSourceError = () => {},
}: {
  /** Of one metric; more are counted together in one series. */
  readonly maxSeries?: number
  readonly onSourceError?: (error: unknown) => void
} = {}): Metrics {
  const counters = new Map<OfKind<'counter'>, Map<string, { attributes: Attributes; value: number }>>()
  const durations = new Map<OfKind<'histogram'>, DurationSeries>()
  const sources: MetricSource[] = []
  return {
    add(name, value, attributes = {}) {
      const series = counters.get(name) ?? new Map()
      counters.set(name, series)
      let key = JSON.stringify(attributes)
      const overflows = !series.has(key) && series.size >= maxSeries
      if (overflows) key = ''
      const known = series.get(key)
      if (known === undefined) series.set(key, { attributes: overflows ? overflowAttributes : attributes, value })
      else known.value += value
    },
    record(name, durationS, attributes = {}) {
      const series = durations.get(name) ?? new DurationSeries({ maxSeries })
      durations.set(name, series)
      series.record(JSON.stringify(attributes), durationS, () => attributes)
    },
    addSource: (source) => void sources.push(source),
    async collect() {
      const read = await Promise.all(
        sources.map(async (source) => {
          try {
            return [...(await source())]
          } catch (error) {
            onSourceError(error)
            return []
          }
        }),
      )
      return [
        ...read.flat(),
        ...[...counters].flatMap(([name, series]) => [...series.values()].map((each) => ({ name, ...each }))),
        ...[...durations].flatMap(([name, series]) => series.points().map((point) => ({ name, ...point }))),
      ]
    },
  }
}
