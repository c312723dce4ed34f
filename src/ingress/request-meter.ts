import type { DurationPoint } from '../observability/duration-series.ts'
import { createEventLoopMeter, type EventLoopReading } from '../observability/event-loop-meter.ts'
import { RequestDurations } from '../observability/request-durations.ts'

/** What one ingress thread has seen: durations since its start, all else at present. */
export type IngressReading = {
  /** Of {@link metricCatalog}'s `http.server.request.duration`; empty unless requests are timed. */
  readonly durations: readonly DurationPoint[]
  readonly activeRequests: number
  readonly connections: number
  readonly eventLoop: EventLoopReading
}

/** Times the requests of one ingress thread, and its event loop. */
export class RequestMeter {
  readonly #durations = new RequestDurations()
  readonly #eventLoop = createEventLoopMeter()
  #active = 0

  /** To be followed by {@link record}. */
  begin(): void {
    this.#active += 1
  }

  record(method: string, status: number, durationMs: number): void {
    this.#active -= 1
    this.#durations.record(method, status, durationMs)
  }

  read(connections: number): IngressReading {
    return {
      durations: this.#durations.points(),
      activeRequests: this.#active,
      connections,
      eventLoop: this.#eventLoop.read(),
    }
  }
}
