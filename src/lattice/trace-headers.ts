import { headers, type Msg, type MsgHdrs } from 'nats'
import { carryTrace, readTrace, type TraceContext } from '../observability/trace-context.ts'

/** W3C Trace Context as headers of a message. */
export function traceHeaders(context: TraceContext): MsgHdrs {
  const { traceparent, tracestate } = carryTrace(context)
  const made = headers()
  made.set('traceparent', traceparent)
  if (tracestate !== undefined) made.set('tracestate', tracestate)
  return made
}

/** What the sender says that a message belongs to: anybody may say anything. Messages without headers cost nothing. */
export function traceOfMessage({ headers: all }: Msg): TraceContext | undefined {
  if (all === undefined || all.values('traceparent').length !== 1) return undefined
  return readTrace({ traceparent: all.get('traceparent'), tracestate: all.get('tracestate') })
}
