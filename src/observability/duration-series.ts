import { durationBoundsS } from './metric-catalog.ts'

export type Attributes = Readonly<Record<string, string | number>>

/** A distribution, ready to cross threads. `counts` has one more entry than there are bounds. */
export type DurationPoint = {
  readonly attributes: Attributes
  readonly counts: readonly number[]
  readonly count: number
  readonly sumS: number
}

type Series = { readonly attributes: Attributes; readonly counts: number[]; count: number; sumS: number }

/** OpenTelemetry's attribute of the series that takes what is beyond the limit. */
export const overflowAttributes: Attributes = { 'otel.metric.overflow': 'true' }

/** Distributions of durations by attributes, bounded in number: what is beyond the bound is counted in one series of its own. */
export class DurationSeries {
  readonly #series = new Map<string, Series>()
  readonly #maxSeries: number

  constructor({ maxSeries = 200 }: { maxSeries?: number } = {}) {
    this.#maxSeries = maxSeries
  }

  /** @param key of the attributes, cheap to make; they are asked for at its first use only. */
  record(key: string, durationS: number, attributes: () => Attributes): void {
    let series = this.#series.get(key)
    if (series === undefined) series = this.#open(key, attributes)
    let bucket = 0
    while (bucket < durationBoundsS.length && durationS > durationBoundsS[bucket]!) bucket += 1
    series.counts[bucket]! += 1
    series.count += 1
    series.sumS += durationS
  }

  points(): DurationPoint[] {
    return [...this.#series.values()].map((series) => ({ ...series, counts: [...series.counts] }))
  }

  #open(key: string, attributes: () => Attributes): Series {
    const full = this.#series.size >= this.#maxSeries
    const overflow = full ? this.#series.get('') : undefined
    if (overflow !== undefined) return overflow
    const series = {
      attributes: full ? overflowAttributes : attributes(),
      counts: new Array<number>(durationBoundsS.length + 1).fill(0),
      count: 0,
      sumS: 0,
    }
    this.#series.set(full ? '' : key, series)
    return series
  }
}

/** Adds up points of equal attributes, of several threads. */
export function mergeDurations(points: Iterable<DurationPoint>): DurationPoint[] {
  const merged = new Map<string, Series>()
  for (const { attributes, counts, count, sumS } of points) {
    const key = JSON.stringify(attributes)
    const known = merged.get(key)
    if (known === undefined) merged.set(key, { attributes, counts: [...counts], count, sumS })
    else {
      for (const [bucket, each] of counts.entries()) known.counts[bucket]! += each
      known.count += count
      known.sumS += sumS
    }
  }
  return [...merged.values()]
}
