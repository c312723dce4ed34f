import type { InstanceState } from './instance-state.ts'
import { Pollable } from './io/pollable.ts'
import { Waitable } from './io/waitable.ts'

/** setTimeout takes at most this; a longer wait is armed again when it fires. */
const longestTimeoutMs = 2_147_483_647
const lastInstant = 0xffff_ffff_ffff_ffffn

/** Ready from a point of the monotonic clock on. The timer runs only while somebody waits. */
export class TimerWaitable extends Waitable {
  readonly #instant: bigint
  #timer: NodeJS.Timeout | undefined

  /** @param instant nanoseconds of the monotonic clock */
  constructor(instant: bigint) {
    super()
    this.#instant = instant
  }

  override ready(): boolean {
    return process.hrtime.bigint() >= this.#instant
  }

  protected override arm(): void {
    const leftMs = Number((this.#instant - process.hrtime.bigint()) / 1000n) / 1000
    this.#timer = setTimeout(
      () => {
        if (this.ready()) this.wake()
        else this.arm()
      },
      Math.min(Math.max(Math.ceil(leftMs), 0), longestTimeoutMs),
    )
  }

  protected override disarm(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

/** `wasi:clocks/monotonic-clock`: nanoseconds since an arbitrary point. */
export function monotonicClock(instance: InstanceState): object {
  const at = (instant: bigint): Pollable =>
    new Pollable(instance, new TimerWaitable(instant > lastInstant ? lastInstant : instant))
  return {
    now: () => process.hrtime.bigint(),
    resolution: () => 1n,
    subscribeInstant: at,
    subscribeDuration: (duration: bigint) => at(process.hrtime.bigint() + duration),
  }
}

export type Datetime = { readonly seconds: bigint; readonly nanoseconds: number }

/** Milliseconds since the epoch (a fraction is kept to the nanosecond) as `wall-clock#datetime`. */
export function datetimeFromMs(ms: number): Datetime {
  const seconds = Math.floor(ms / 1000)
  return { seconds: BigInt(seconds), nanoseconds: Math.min(999_999_999, Math.floor((ms - seconds * 1000) * 1e6)) }
}

export const wallClock = {
  now: (): Datetime => datetimeFromMs(performance.timeOrigin + performance.now()),
  resolution: (): Datetime => ({ seconds: 0n, nanoseconds: 1_000 }),
}

/** Unstable in WASI 0.2 (`clocks-timezone`): guests live in UTC, whatever the host's zone is. */
export const timezone = {
  display: (_when: Datetime) => ({ utcOffset: 0, name: 'UTC', inDaylightSavingTime: false }),
  utcOffset: (_when: Datetime): number => 0,
}
