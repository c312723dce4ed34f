import { randomBytes } from 'node:crypto'

/** Where a request stands in a trace: W3C Trace Context, `traceparent`. */
export type TraceContext = {
  /** 32 hex digits, not all zero. */
  readonly traceId: string
  /** 16 hex digits, not all zero: the span that sent it. */
  readonly spanId: string
  readonly sampled: boolean
  /** `tracestate` as it came; passed on and never looked into. */
  readonly state?: string | undefined
}

/** A context on its way, as in fields of HTTP and headers of NATS. Whoever reads it, parses it: see {@link readTrace}. */
export type CarriedTrace = { readonly traceparent: string; readonly tracestate?: string | undefined }

/** What knows the trace of that which goes on in it. */
export interface TraceSource {
  readonly trace?: CarriedTrace | undefined
}

const traceparent = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/
const tracestate = /^[\x20-\x7e]{1,512}$/

/** Of version 00; a later one is read as far as it is the same (W3C Trace Context §4.3), `undefined` for what is none. */
export function parseTraceparent(text: string | undefined): TraceContext | undefined {
  if (text === undefined || text.length < 55 || (text.startsWith('00-') && text.length > 55)) return undefined
  if (text.length > 55 && text[55] !== '-') return undefined
  const match = traceparent.exec(text.slice(0, 55))
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  return { traceId: match[1], spanId: match[2], sampled: (Number.parseInt(match[3] ?? '0', 16) & 1) === 1 }
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}

/** Of anything that came from elsewhere. `undefined` when its `traceparent` is none; a `tracestate` that is none is left out. */
export function readTrace(carried: unknown): TraceContext | undefined {
  if (typeof carried !== 'object' || carried === null) return undefined
  const { traceparent: parent, tracestate: state } = carried as Record<string, unknown>
  const context = typeof parent === 'string' ? parseTraceparent(parent) : undefined
  if (context === undefined || typeof state !== 'string' || !tracestate.test(state)) return context
  return { ...context, state }
}

export function carryTrace(context: TraceContext): CarriedTrace {
  const carried = { traceparent: formatTraceparent(context) }
  return context.state === undefined ? carried : { ...carried, tracestate: context.state }
}

/** Of a request's fields, names in lowercase. A `traceparent` that came twice is none (§3.2). */
export function traceOfFields(fields: readonly (readonly [name: string, value: string])[]): CarriedTrace | undefined {
  let parent: string | undefined
  let state: string | undefined
  let states = 0
  for (const [name, value] of fields) {
    if (name === 'traceparent') {
      if (parent !== undefined) return undefined
      parent = value
    } else if (name === 'tracestate') {
      state = value
      states += 1
    }
  }
  if (parent === undefined) return undefined
  return states === 1 ? { traceparent: parent, tracestate: state } : { traceparent: parent }
}

/** Makes ids of traces and spans. Each thread has its own. */
export class TraceIds {
  #pool = Buffer.alloc(0)
  #used = 0

  traceId(): string {
    return this.#next(16)
  }

  spanId(): string {
    return this.#next(8)
  }

  /** From a pool: asking the system's randomness for each costs more than all else of a span. */
  #next(bytes: number): string {
    if (this.#used + bytes > this.#pool.length) {
      this.#pool = randomBytes(4_096)
      this.#used = 0
    }
    const id = this.#pool.toString('hex', this.#used, this.#used + bytes)
    this.#used += bytes
    return /[1-9a-f]/.test(id) ? id : this.#next(bytes)
  }
}
