import type { IncomingMessage, ServerResponse } from 'node:http'
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

  watch(request: IncomingMessage, response: ServerResponse): void {
    const startMs = performance.now()
    this.#active += 1
    response.once('close', () => {
      this.#active -= 1
      const status = response.headersSent ? response.statusCode : 499
      this.#durations.record(request.method, status, performance.now() - startMs)
    })
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
