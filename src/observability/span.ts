import type { SpanDefinition, SpanValue } from './span-catalog.ts'

/** A span that has ended, ready to cross threads. Never holds a token, a query, or a field of a request. */
export type FinishedSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly kind: SpanDefinition['kind']
  /** ms since the Unix epoch, with fractions. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, SpanValue>>
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
  #most = maxBatch

  constructor(sink: SpanSink) {
    this.#sink = sink
  }

  add(span: FinishedSpan): void {
    this.#spans.push(span)
    if (this.#spans.length >= this.#most) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), batchMs).unref()
  }

  /** None waits for others any more. */
  ending(): void {
    this.#most = 1
    this.flush()
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
