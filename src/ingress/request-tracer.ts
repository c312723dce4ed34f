import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHead } from '../engine/request-head.ts'
import { shownMethod } from '../observability/shown-method.ts'
import { SpanBatch, type SpanSink } from '../observability/span.ts'
import { formatTraceparent, parseTraceparent, TraceIds } from '../observability/trace-context.ts'

export type TraceSampling = {
  /** Whether what the caller decided holds, where it did. */
  readonly parentBased: boolean
  /** Share of the traces that begin here, 0 to 1. */
  readonly ratio: number
}

/** Makes a span of each request of one ingress thread, and has the guest see it as its caller (W3C Trace Context). */
export class RequestTracer {
  readonly #sampling: TraceSampling
  readonly #ids = new TraceIds()
  readonly #batch: SpanBatch

  constructor(sampling: TraceSampling, sink: SpanSink) {
    this.#sampling = sampling
    this.#batch = new SpanBatch(sink)
  }

  /** To be called once it is known that a workload gets the request. @returns the head that it is to get */
  begin(request: IncomingMessage, response: ServerResponse, head: RequestHead): RequestHead {
    const { headers, caller } = withoutContext(head.headers)
    const { parentBased, ratio } = this.#sampling
    const sampled = caller !== undefined && parentBased ? caller.sampled : Math.random() < ratio
    const context = { traceId: caller?.traceId ?? this.#ids.traceId(), spanId: this.#ids.spanId(), sampled }
    headers.push('traceparent', formatTraceparent(context))
    if (sampled) {
      const startMs = performance.timeOrigin + performance.now()
      response.once('close', () => {
        const method = shownMethod(request.method)
        const status = response.headersSent ? response.statusCode : 499
        this.#batch.add({
          traceId: context.traceId,
          spanId: context.spanId,
          parentSpanId: caller?.spanId,
          name: method,
          kind: 'server',
          startMs,
          endMs: performance.timeOrigin + performance.now(),
          attributes: {
            'http.request.method': method,
            'http.response.status_code': status,
            'url.scheme': 'http',
            'server.address': head.hostName.slice(0, 255),
          },
          ...(status >= 500 && { error: `answered ${status}` }),
        })
      })
    }
    return { ...head, headers }
  }

  flush(): void {
    this.#batch.flush()
  }
}

/** A context that is not valid, or not one, is none, and its state is nothing without it (§4.3). */
function withoutContext(all: readonly string[]) {
  const headers: string[] = []
  let text: string | undefined
  let count = 0
  for (let at = 0; at + 1 < all.length; at += 2) {
    if (all[at] !== 'traceparent') continue
    text = all[at + 1]
    count += 1
  }
  const caller = count === 1 ? parseTraceparent(text) : undefined
  for (let at = 0; at + 1 < all.length; at += 2) {
    const name = all[at] ?? ''
    if (name === 'traceparent' || (name === 'tracestate' && caller === undefined)) continue
    headers.push(name, all[at + 1] ?? '')
  }
  return { headers, caller }
}
