import { type DurationPoint, DurationSeries } from './duration-series.ts'
import { shownMethod } from './shown-method.ts'

/** Of {@link metricCatalog}'s `http.server.request.duration`. */
export class RequestDurations {
  readonly #series = new DurationSeries()

  /** @param status 499, as nginx counts it, when there was nobody to answer. */
  record(sentMethod: string | undefined, status: number, durationMs: number): void {
    const method = shownMethod(sentMethod)
    this.#series.record(`${method} ${status}`, durationMs / 1000, () => ({
      'http.request.method': method,
      'http.response.status_code': status,
      'url.scheme': 'http',
    }))
  }

  points(): DurationPoint[] {
    return this.#series.points()
  }
}
