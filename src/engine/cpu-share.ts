import type { Vitals } from './vitals.ts'

/** Of its share, what a cell may use at once: that of so long, ms. */
const burstOfMs = 1_000
/** Longest nap at a time, ms: in between, the event loop has a turn, for deadlines and for what the control thread says. */
const longestNapMs = 50

/**
 * The share of a processor that a cell may use, over time: what its thread used is paid for as time goes by. What is not paid for yet stands in the
 * cell's counters (`cpuSpentMs`), which outlive its threads: one that is ended for not yielding leaves to the next what it owes.
 */
export class CpuShare {
  readonly millicores: number
  readonly #vitals: Vitals
  readonly #share: number
  readonly #burstMs: number
  #lastMs: number
  #unpaidForMs = 0

  /** @param nowMs by `performance.now()` of this thread, as in {@link spend} */
  constructor(millicores: number, vitals: Vitals, nowMs: number) {
    this.millicores = millicores
    this.#vitals = vitals
    this.#share = millicores / 1_000
    this.#burstMs = burstOfMs * this.#share
    this.#lastMs = nowMs
  }

  /** How long it takes until it may compute again, ms; 0: it may. */
  get behindMs(): number {
    return Math.max(0, (this.#vitals.get('cpuSpentMs') - this.#burstMs) / this.#share)
  }

  /** All is paid for. */
  get settled(): boolean {
    return this.#vitals.get('cpuSpentMs') <= 0
  }

  /** @param usedMs of processor time since the last time */
  spend(usedMs: number, nowMs: number): void {
    const paidMs = (nowMs - this.#lastMs) * this.#share + this.#unpaidForMs
    this.#lastMs = nowMs
    this.#unpaidForMs = paidMs % 1
    const spentMs = this.#vitals.get('cpuSpentMs')
    this.#vitals.add('cpuSpentMs', Math.max(0, spentMs + usedMs - Math.floor(paidMs)) - spentMs)
  }

  /** Has the thread sleep while it is behind, but not for long. */
  nap(): void {
    const { behindMs } = this
    if (behindMs > 0) this.#vitals.add('throttledMs', this.#vitals.nap(Math.min(Math.ceil(behindMs), longestNapMs)))
  }
}
