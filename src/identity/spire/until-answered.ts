import type { Clock } from '../../clock/clock.ts'
import type { HeraldError } from '../../errors/herald-error.ts'
import { isTransient } from './spire-status.ts'

/**
 * Asks again, with growing pauses, while the answer is "not now".
 * @param translate of a failed call.
 * @throws the translated failure that is not transient; once the signal has aborted the last one, or `whenNone()` if none came
 */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  {
    clock,
    signal,
    translate,
    whenNone,
  }: {
    readonly clock: Clock
    readonly signal: AbortSignal
    readonly translate: (cause: unknown) => HeraldError | Promise<HeraldError>
    readonly whenNone: () => Promise<HeraldError>
  },
): Promise<T> {
  let last: HeraldError | undefined
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask()
    } catch (cause) {
      if (signal.aborted) throw last ?? (await whenNone())
      last = await translate(cause)
      if (!isTransient(last)) throw last
    }
    await clock.sleep(Math.min(50 * 2 ** attempt, 2_000), { signal }).catch(() => {})
  }
}
