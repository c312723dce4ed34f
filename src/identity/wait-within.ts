import type { Clock } from '../clock/clock.ts'

export type WaitOptions = {
  readonly signal: AbortSignal
  readonly timeoutMs: number
  readonly clock: Clock
  /** The error to reject with when the time is over. */
  readonly timeoutError: () => Error
}

/**
 * Waits for work that others may wait for too: neither the signal nor the time limit stops the work itself.
 * @throws what the work throws · the signal's reason · `timeoutError()`
 */
export function waitWithin<T>(work: Promise<T>, { signal, timeoutMs, clock, timeoutError }: WaitOptions): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const over = new AbortController()
    const end = (settle: () => void): void => {
      over.abort()
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const onAbort = (): void => end(() => reject(signal.reason))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)
    work.then(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    )
    clock.sleep(timeoutMs, { signal: over.signal }).then(
      () => end(() => reject(timeoutError())),
      () => {},
    )
  })
}
