import type { Clock } from '../clock/clock.ts'
import { Deadline } from './deadline.ts'

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
    if (signal.aborted) return reject(signal.reason)
    const limit = new Deadline(clock, timeoutMs)
    let isOver = false
    const end = (settle: () => void): void => {
      if (isOver) return
      isOver = true
      signal.removeEventListener('abort', onAbort)
      settle()
      limit.disposeSoon()
    }
    const onAbort = (): void => end(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort)
    limit.signal.addEventListener('abort', () => end(() => reject(timeoutError())))
    work.then(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    )
  })
}
