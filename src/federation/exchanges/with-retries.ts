import { isHeraldError } from '../../errors/herald-error.ts'
import type { ExchangeContext } from '../exchange.ts'

/** Thrown by an attempt that may succeed later; carries the error to report when it does not. */
export class TryAgain extends Error {
  readonly reported: Error
  readonly afterMs: number | undefined
  /** For how long it is worth trying, from the first attempt, ms. */
  readonly patienceMs: number
  constructor(reported: Error, options: { afterMs?: number | undefined; patienceMs: number }) {
    super('try again')
    this.reported = reported
    this.afterMs = options.afterMs
    this.patienceMs = options.patienceMs
  }
}

/** What passes by itself mostly does so within this time, ms. */
export const usualPatienceMs = 5_000

/**
 * Runs `attempt` until it succeeds, fails for good, or patience or the signal ends. Waits 0.2 s, 0.4 s, … up to 10 s, each jittered by half;
 * a party that cannot be reached is tried again as one that asks for it.
 */
export async function withRetries<T>(attempt: () => Promise<T>, { clock, signal }: ExchangeContext): Promise<T> {
  const startedMs = clock.nowMs()
  for (let count = 0; ; count++) {
    try {
      return await attempt()
    } catch (error) {
      const again = isHeraldError(error, 'ERR_FEDERATION_UNAVAILABLE')
        ? new TryAgain(error, { patienceMs: usualPatienceMs })
        : error
      if (!(again instanceof TryAgain)) throw error
      const delayMs = again.afterMs ?? Math.min(200 * 2 ** count, 10_000) * (0.75 + Math.random() / 2)
      if (clock.nowMs() + delayMs > startedMs + again.patienceMs) throw again.reported
      try {
        await clock.sleep(delayMs, { signal })
      } catch {
        // The caller ran out of time: what went wrong says more than that.
        throw again.reported
      }
    }
  }
}
