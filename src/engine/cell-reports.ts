import type { DurationPoint } from '../observability/duration-series.ts'
import type { Log } from '../observability/log.ts'
import type { SpanSink } from '../observability/span.ts'
import type { FromCellMain } from './cell-protocol.ts'

export type OutputLine = { component: string; stream: 'stdout' | 'stderr'; text: string }
type Report = Extract<FromCellMain, { kind: 'output' | 'trap' | 'egress-refused' | 'sent' | 'spans' | 'requests' }>

/** Outgoing requests of one component that nobody signs, by host, since the last time. */
export type SentRequests = Pick<Extract<Report, { kind: 'sent' }>, 'component' | 'hosts'>

/** What a cell tells of its own accord, for logs, traces and metrics. */
export class CellReports {
  readonly #log: Log
  readonly #onSent: ((sent: SentRequests) => void) | undefined
  readonly #onSpans: SpanSink | undefined
  readonly #onRequests: ((points: readonly DurationPoint[]) => void) | undefined
  readonly #outputListeners: ((line: OutputLine) => void)[] = []
  #egressRefusals = 0

  constructor(
    log: Log,
    sinks: {
      readonly onSent: ((sent: SentRequests) => void) | undefined
      readonly onSpans: SpanSink | undefined
      readonly onRequests: ((points: readonly DurationPoint[]) => void) | undefined
    },
  ) {
    this.#log = log
    this.#onSent = sinks.onSent
    this.#onSpans = sinks.onSpans
    this.#onRequests = sinks.onRequests
  }

  get egressRefusals(): number {
    return this.#egressRefusals
  }

  onOutput(listener: (line: OutputLine) => void): void {
    this.#outputListeners.push(listener)
  }

  receive(message: Report): void {
    switch (message.kind) {
      case 'output': {
        const { component, stream, text } = message
        for (const listener of this.#outputListeners) listener({ component, stream, text })
        return
      }
      case 'trap': {
        const { component, reason } = message
        this.#log.warn({ event: 'component.trapped', component, reason }, 'component trapped')
        return
      }
      case 'egress-refused': {
        const { component, target, reason, count } = message
        this.#egressRefusals += count
        this.#log.warn({ event: 'egress.refused', component, target, reason, count }, 'an outgoing request was refused')
        return
      }
      case 'sent':
        this.#onSent?.(message)
        return
      case 'spans':
        this.#onSpans?.(message.spans)
        return
      case 'requests':
        this.#onRequests?.(message.points)
    }
  }
}
