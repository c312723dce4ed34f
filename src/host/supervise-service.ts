import type { Clock } from '../clock/clock.ts'
import type { Log } from '../observability/log.ts'

/** First wait before a restart, ms; doubled each time up to the longest, so that a crash loop does not eat the machine. */
const firstWaitMs = 1_000
const longestWaitMs = 30_000

export type ServiceEnd = { readonly exitCode: number | undefined; readonly restarts: number; readonly cause: unknown }

/**
 * Runs a service again and again, until it has ended `maxRestarts` + 1 times or the signal aborts.
 * @returns how it ended for the last time; undefined when the signal ended it.
 */
export async function superviseService(
  run: () => Promise<{ exitCode: number }>,
  { maxRestarts, clock, log, signal }: { maxRestarts: number; clock: Clock; log: Log; signal: AbortSignal },
): Promise<ServiceEnd | undefined> {
  for (let restarts = 0; !signal.aborted; restarts += 1) {
    let exitCode: number | undefined
    let cause: unknown
    try {
      exitCode = (await run()).exitCode
    } catch (error) {
      cause = error
    }
    if (signal.aborted) return undefined
    if (restarts >= maxRestarts) return { exitCode, restarts, cause }
    const waitMs = Math.min(firstWaitMs * 2 ** restarts, longestWaitMs)
    log.warn(
      {
        event: 'service.restarting',
        exitCode,
        reason: cause instanceof Error ? cause.message : undefined,
        restarts,
        maxRestarts,
        waitMs,
      },
      'the service ended and is started again',
    )
    try {
      await clock.sleep(waitMs, { signal })
    } catch {
      return undefined
    }
  }
  return undefined
}
