import { beginServerSpan, endServerSpan, type ServerSpan } from '../observability/server-span.ts'
import type { Tracer } from '../observability/tracer.ts'
import type { HttpConnection } from './http-connection.ts'
import { HttpTransaction } from './http-transaction.ts'
import type { PlainAnswer } from './plain-answer.ts'
import { type RequestHead, readRequestHead } from './request-head.ts'
import type { ParsedRequest } from './request-parser.ts'

/** Who watches the requests of a listener. */
export type Watch = {
  /** Absent: requests are not timed. A `begin` is followed by a `record`. */
  readonly meter?: { begin(): void; record(method: string, status: number, durationMs: number): void } | undefined
  /** Absent: no spans are made. */
  readonly tracer?: Tracer | undefined
}

/** A transaction with the checks, the times and the spans that are the same for every listener of the house. */
export abstract class WatchedTransaction extends HttpTransaction {
  readonly #watch: Watch
  #head: RequestHead | undefined
  #bad: PlainAnswer | undefined
  #startMs: number | undefined
  #span: ServerSpan | undefined

  constructor(connection: HttpConnection, request: ParsedRequest, watch: Watch) {
    super(connection, request)
    this.#watch = watch
    const head = readRequestHead(this)
    if (typeof head !== 'string') this.#head = head
    const reason = typeof head === 'string' ? head : this.method === 'CONNECT' ? 'CONNECT is not served' : undefined
    if (reason !== undefined) this.#bad = { status: 400, code: 'ERR_INGRESS_BAD_REQUEST', reason, close: true }
  }

  /** Why nobody gets it. */
  protected abstract refusal(head: RequestHead): PlainAnswer | undefined
  /** Somebody is to get it. */
  protected abstract proceed(head: RequestHead): void

  /** `undefined`: it is refused as soon as its turn comes. */
  get head(): RequestHead | undefined {
    return this.#head
  }

  override start(): void {
    const { meter, tracer } = this.#watch
    if (meter !== undefined) {
      this.#startMs = performance.now()
      meter.begin()
    }
    const refusal = this.#bad ?? this.refusal(this.#head!)
    if (refusal !== undefined) {
      this.answer(refusal)
      return
    }
    if (tracer !== undefined) this.#trace(tracer)
    this.proceed(this.#head!)
  }

  protected override onDone(status: number): void {
    if (this.#startMs !== undefined) this.#watch.meter?.record(this.method, status, performance.now() - this.#startMs)
    if (this.#span !== undefined) endServerSpan(this.#span, this.method, this.#head?.hostName ?? '', status)
  }

  #trace(tracer: Tracer): void {
    const head = this.#head!
    const { fields, span } = beginServerSpan(tracer, this.method, head.headers)
    this.#head = { ...head, headers: fields }
    this.#span = span
  }
}
