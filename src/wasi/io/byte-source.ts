import { closed, type IoError, lastOperationFailed } from './io-error.ts'
import { Waitable } from './waitable.ts'

export const noBytes = new Uint8Array(0)

/** Where an input stream's bytes come from. */
export abstract class ByteSource extends Waitable {
  /**
   * At most `max` bytes that are there now; none means: wait until `ready()`.
   * @throws StreamError: once `last-operation-failed` when the source failed, and `closed` from then on or at the end.
   */
  abstract take(max: number): Uint8Array

  /** The stream was dropped. Idempotent, never throws. */
  abstract close(): void
}

/** Over at once. */
export class EmptySource extends ByteSource {
  override ready(): boolean {
    return true
  }
  override take(): Uint8Array {
    throw closed
  }
  override close(): void {}
}

/** Keeps a failure until it has been reported once; `closed` after that. */
export class FailureOnce {
  #error: IoError | undefined
  #failed = false

  get failed(): boolean {
    return this.#failed
  }

  /** The first failure counts. */
  set(error: IoError): void {
    if (this.#failed) return
    this.#failed = true
    this.#error = error
  }

  /** @throws StreamError when there has been a failure. */
  check(): void {
    if (!this.#failed) return
    const error = this.#error
    if (error === undefined) throw closed
    this.#error = undefined
    throw lastOperationFailed(error)
  }
}
