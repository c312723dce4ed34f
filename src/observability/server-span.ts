import { shownMethod } from './shown-method.ts'
import { formatTraceparent, readTrace } from './trace-context.ts'
import type { ActiveSpan, Tracer } from './tracer.ts'

export type ServerSpan = ActiveSpan<'http.server'>

/**
 * Of a request, once it is known that a workload gets it.
 * @param fields names (lowercase) and values in turn
 * @returns `fields` as the guest is to get them: it sees the span as its caller. A context that is not valid, or not one, is none, and its
 * state is nothing without it (W3C Trace Context §4.3).
 */
export function beginServerSpan(
  tracer: Tracer,
  method: string | undefined,
  all: readonly string[],
): { readonly fields: string[]; readonly span: ServerSpan } {
  const fields: string[] = []
  const states: string[] = []
  let traceparent: string | undefined
  let count = 0
  for (let at = 0; at + 1 < all.length; at += 2) {
    const name = all[at] ?? ''
    const value = all[at + 1] ?? ''
    if (name === 'tracestate') states.push(value)
    else if (name === 'traceparent') {
      traceparent = value
      count += 1
    } else fields.push(name, value)
  }
  const caller = count === 1 ? readTrace({ traceparent }) : undefined
  const span = tracer.begin('http.server', caller, shownMethod(method))
  fields.push('traceparent', formatTraceparent(span.context))
  if (caller !== undefined) for (const state of states) fields.push('tracestate', state)
  return { fields, span }
}

/** @param status of the response; 499: none had begun */
export function endServerSpan(span: ServerSpan, method: string | undefined, hostName: string, status: number): void {
  span.set({
    'http.request.method': shownMethod(method),
    'http.response.status_code': status,
    'url.scheme': 'http',
    'server.address': hostName.slice(0, 255),
  })
  if (status >= 500) span.failed(String(status))
  span.end()
}
