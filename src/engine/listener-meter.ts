import type { DurationPoint } from '../observability/duration-series.ts'
import { RequestDurations } from '../observability/request-durations.ts'
import type { Vitals } from './vitals.ts'

const reportMs = 1_000

/** Times the requests of a cell's own listeners, and hands on what is new, about once a second. */
export class ListenerMeter {
  /** What is new goes out with each request: there may be no second more. */
  ending = false
  readonly #vitals: Pick<Vitals, 'add'>
  readonly #send: (points: DurationPoint[]) => void
  #durations = new RequestDurations()
  #timer: NodeJS.Timeout | undefined

  constructor(vitals: Pick<Vitals, 'add'>, send: (points: DurationPoint[]) => void) {
    this.#vitals = vitals
    this.#send = send
  }

  /** To be followed by {@link record}. */
  begin(): void {
    this.#vitals.add('listenerRequests', 1)
  }

  record(method: string, status: number, durationMs: number): void {
    this.#vitals.add('listenerRequests', -1)
    this.#durations.record(method, status, durationMs)
    if (this.ending) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), reportMs)
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const points = this.#durations.points()
    if (points.length === 0) return
    this.#durations = new RequestDurations()
    this.#send(points)
  }
}
