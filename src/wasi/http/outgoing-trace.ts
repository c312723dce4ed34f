import type { IncomingMessage } from 'node:http'
import { shownMethod } from '../../observability/shown-method.ts'
import { SpanBatch, type SpanSink } from '../../observability/span.ts'
import { formatTraceparent, parseTraceparent, TraceIds } from '../../observability/trace-context.ts'
import type { HttpExchange } from '../http-exchange.ts'
import type { HeaderPair } from './fields.ts'

export type OutgoingCall = {
  readonly method: string
  readonly authority: string
  readonly scheme: 'http' | 'https'
  readonly headers: readonly HeaderPair[]
}

export type TracedCall = {
  readonly headers: readonly HeaderPair[]
  /** To be called with what became of it. */
  readonly settled?: (result: IncomingMessage | Error) => void
}

/** Has outgoing requests of one component belong to the trace of the request that it answers (W3C Trace Context). */
export class OutgoingTracer {
  readonly #ids = new TraceIds()
  readonly #batch: SpanBatch | undefined

  /** @param sink gets a span of each request whose trace is sampled; without it the context is only passed on. */
  constructor(sink: SpanSink | undefined) {
    this.#batch = sink && new SpanBatch(sink)
  }

  /** What the guest set itself is left as it is. @param incoming what the instance is answering, if it is a request */
  trace(call: OutgoingCall, incoming: HttpExchange | undefined): TracedCall {
    const { headers } = call
    const parent = incoming && parseTraceparent(fieldOf(incoming.headers, 'traceparent'))
    if (parent === undefined || headers.some(([name]) => name.toLowerCase() === 'traceparent')) return { headers }
    const batch = parent.sampled ? this.#batch : undefined
    const spanId = batch === undefined ? parent.spanId : this.#ids.spanId()
    const state = fieldOf(incoming?.headers ?? [], 'tracestate')
    const added: readonly HeaderPair[] = [
      ...headers.filter(([name]) => name.toLowerCase() !== 'tracestate'),
      ['traceparent', formatTraceparent({ ...parent, spanId })],
      ...(state === undefined ? [] : [['tracestate', state] as const]),
    ]
    if (batch === undefined) return { headers: added }
    const startMs = performance.timeOrigin + performance.now()
    const method = shownMethod(call.method)
    return {
      headers: added,
      settled(result) {
        const status = result instanceof Error ? undefined : result.statusCode
        batch.add({
          ...{ traceId: parent.traceId, spanId, parentSpanId: parent.spanId, name: method, kind: 'client' },
          ...{ startMs, endMs: performance.timeOrigin + performance.now() },
          attributes: {
            'http.request.method': method,
            'url.scheme': call.scheme,
            'server.address': call.authority.replace(/^.*@/, '').slice(0, 255).toWellFormed(),
            ...(status !== undefined && { 'http.response.status_code': status }),
          },
          ...(status === undefined && { error: 'no answer' }),
          ...(status !== undefined && status >= 400 && { error: `answered ${status}` }),
        })
      },
    }
  }
}

function fieldOf(headers: readonly HeaderPair[], wanted: string): string | undefined {
  const found = headers.filter(([name]) => name === wanted)
  return found.length === 1 ? found[0]?.[1] : undefined
}
