import type { IncomingMessage } from 'node:http'
import { shownMethod } from '../../observability/shown-method.ts'
import { type CarriedTrace, carryTrace, readTrace } from '../../observability/trace-context.ts'
import type { Tracer } from '../../observability/tracer.ts'
import type { HeaderPair } from './fields.ts'

export type OutgoingCall = {
  readonly method: string
  readonly authority: string
  readonly scheme: 'http' | 'https'
  readonly headers: readonly HeaderPair[]
}

export type TracedCall = {
  readonly headers: readonly HeaderPair[]
  /** Of the request itself: what is done for it belongs there. */
  readonly trace?: CarriedTrace | undefined
  /** To be called with what became of it. */
  readonly settled?: (result: IncomingMessage | Error) => void
}

/**
 * Has an outgoing request belong to the trace of the call that the guest answers (W3C Trace Context). What the guest set itself is left as it is.
 * @param tracer makes a span of it; without one the context is only passed on
 */
export function traceOutgoing(
  tracer: Tracer | undefined,
  call: OutgoingCall,
  answering: CarriedTrace | undefined,
): TracedCall {
  const { headers } = call
  const parent = answering && readTrace(answering)
  if (parent === undefined) return { headers }
  if (headers.some(([name]) => name.toLowerCase() === 'traceparent')) return { headers, trace: answering }
  const method = shownMethod(call.method)
  const span = tracer?.begin('http.client', parent, method)
  const trace = carryTrace(span?.context ?? parent)
  const added: readonly HeaderPair[] = [
    ...headers.filter(([name]) => name.toLowerCase() !== 'tracestate'),
    ['traceparent', trace.traceparent],
    ...(trace.tracestate === undefined ? [] : [['tracestate', trace.tracestate] as const]),
  ]
  if (span === undefined || !span.context.sampled) return { headers: added, trace }
  return {
    headers: added,
    trace,
    settled(result) {
      const status = result instanceof Error ? undefined : result.statusCode
      span.set({
        'http.request.method': method,
        'url.scheme': call.scheme,
        'server.address': call.authority.replace(/^.*@/, '').slice(0, 255).toWellFormed(),
        'http.response.status_code': status,
      })
      if (status === undefined) span.failed('no-answer')
      else if (status >= 400) span.failed(String(status))
      span.end()
    },
  }
}
