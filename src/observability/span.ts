/** A span that has ended, ready to cross threads. Never holds a token, a query, or a field of a request. */
export type FinishedSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly kind: 'server' | 'client' | 'internal'
  /** ms since the Unix epoch, with fractions. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, string | number | readonly string[]>>
  /** Why it failed; absent when it did not. */
  readonly error?: string
}

export type SpanSink = (spans: readonly FinishedSpan[]) => void

/** Longest wait of a span for the others of its batch, ms. */
const batchMs = 500
const maxBatch = 256

/** Hands spans of one thread on, many at a time. */
export class SpanBatch {
  readonly #sink: SpanSink
  #spans: FinishedSpan[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(sink: SpanSink) {
    this.#sink = sink
  }

  add(span: FinishedSpan): void {
    this.#spans.push(span)
    if (this.#spans.length >= maxBatch) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), batchMs).unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const spans = this.#spans
    if (spans.length === 0) return
    this.#spans = []
    this.#sink(spans)
  }
}
