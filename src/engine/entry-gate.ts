import type { CpuShare } from './cpu-share.ts'
import { PoolBusyError } from './instance-pool.ts'
import type { Pulse } from './pulse.ts'

/** Most calls that wait because their workload has used up its share of the processor. */
const mostHeld = 256
/** From here on nobody is made to wait, ms. */
const mostBehindMs = 10_000

/** The workload has used more of the processor than its share, and too many wait for it already. */
export class CpuLimitError extends PoolBusyError {
  override readonly name = 'CpuLimitError'
}

/** Lets calls into the guests of a cell as its share of the processor permits, those that came first first. */
export class EntryGate {
  readonly #pulse: Pulse
  readonly #share: CpuShare
  readonly #held = new Set<() => void>()
  readonly #drain = (): void => {
    this.#pulse.measure(performance.now())
    this.#share.nap()
    const [first] = this.#held
    // One a turn, so that what each of them used is known before the next.
    if (first !== undefined && this.#share.behindMs === 0) first()
    if (this.#held.size > 0) setImmediate(this.#drain)
  }

  constructor(pulse: Pulse, share: CpuShare) {
    this.#pulse = pulse
    this.#share = share
  }

  /** @returns `undefined`: enter at once. @throws CpuLimitError; the promise rejects with the signal's reason */
  enter(signal: AbortSignal): Promise<void> | undefined {
    this.#pulse.measure(performance.now())
    const { behindMs, millicores } = this.#share
    if (behindMs === 0 && this.#held.size === 0) return undefined
    if (this.#held.size >= mostHeld || behindMs > mostBehindMs) {
      const seconds = (behindMs / 1_000).toFixed(1)
      throw new CpuLimitError(
        `the workload has used up its ${millicores} millicores: it is ${seconds} s behind, and ${this.#held.size} calls wait`,
      )
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = (): void => {
      this.#held.delete(enter)
      signal.removeEventListener('abort', onAbort)
    }
    const enter = (): void => {
      leave()
      resolve()
    }
    const onAbort = (): void => {
      leave()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort)
    if (this.#held.size === 0) setImmediate(this.#drain)
    this.#held.add(enter)
    return promise
  }
}
