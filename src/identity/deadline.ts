import type { Clock } from '../clock/clock.ts'

/** Reasons are made once: an Error with its stack for every fetch would cost more than the fetch's own work. */
const timeIsOver = new DOMException('the time for this is over', 'TimeoutError')
const isDone = new DOMException('this is done', 'AbortError')

/** A time limit of the given clock. Its signal aborts when the time is over, when told to, and at the latest on disposal. */
export class Deadline implements Disposable {
  readonly #controller = new AbortController()

  constructor(clock: Clock, durationMs: number) {
    clock.sleep(durationMs, { signal: this.#controller.signal }).then(
      () => this.#controller.abort(timeIsOver),
      () => {},
    )
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether the signal has aborted because the time was over. */
  get isTimeOver(): boolean {
    return this.signal.reason === timeIsOver
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  /** Disposes of it a turn of the event loop later: what is waited for goes on first. */
  disposeSoon(): void {
    setImmediate(() => this[Symbol.dispose]())
  }

  [Symbol.dispose](): void {
    this.#controller.abort(isDone)
  }
}
