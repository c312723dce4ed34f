import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHead } from '../engine/request-head.ts'
import { beginServerSpan, endServerSpan } from '../observability/server-span.ts'
import type { Tracer } from '../observability/tracer.ts'

/** Makes a span of a request. @returns the head that the workload is to get */
export function traceRequest(
  tracer: Tracer,
  request: IncomingMessage,
  response: ServerResponse,
  head: RequestHead,
): RequestHead {
  const { fields, span } = beginServerSpan(tracer, request.method, head.headers)
  if (span.context.sampled) {
    response.once('close', () =>
      endServerSpan(span, request.method, head.hostName, response.headersSent ? response.statusCode : 499),
    )
  }
  return { ...head, headers: fields }
}
