/** Pause before the n-th restart within `windowMs`; one more, and the cell has failed. */
export const defaultRestartPausesMs: readonly number[] = [0, 0, 0, 100, 500, 1_000, 2_000, 5_000, 10_000]
const windowMs = 60_000

/** How long a cell that ends again and again waits before it is started anew. */
export class RestartPauses {
  readonly #pausesMs: readonly number[]
  #startedMs: number[] = []

  constructor(pausesMs: readonly number[]) {
    this.#pausesMs = pausesMs
  }

  /** Counts a restart. @returns the pause before it; `undefined`: it has ended too often */
  next(): number | undefined {
    const now = performance.now()
    this.#startedMs = this.#startedMs.filter((at) => now - at < windowMs)
    const pauseMs = this.#pausesMs[this.#startedMs.length]
    if (pauseMs !== undefined) this.#startedMs.push(now)
    return pauseMs
  }
}
