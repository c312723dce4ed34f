import type { Clock } from '../src/clock/clock.ts'

type Sleeper = { readonly untilMs: number; wake(): void; isGone: boolean }

/** Time that jumps from one sleeper to the next, for many thousands of them. */
export class SimulatedClock implements Clock {
  #nowMs: number
  /** Sleepers by the second in which they wake. */
  readonly #bySecond = new Map<number, Sleeper[]>()

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  sleep(durationMs: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const sleeper: Sleeper = { untilMs: this.#nowMs + Math.max(durationMs, 0), wake: resolve, isGone: false }
      const second = Math.floor(sleeper.untilMs / 1000)
      const others = this.#bySecond.get(second)
      if (others === undefined) this.#bySecond.set(second, [sleeper])
      else others.push(sleeper)
      signal?.addEventListener('abort', () => {
        sleeper.isGone = true
        reject(signal.reason)
      })
    })
  }

  /** Runs for so long, letting what each sleeper wakes come to rest before the next one. */
  async run(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs
    for (let second = Math.floor(this.#nowMs / 1000); second * 1000 < endMs; second++) {
      for (;;) {
        const due = (this.#bySecond.get(second) ?? [])
          .filter(({ isGone }) => !isGone)
          .sort((a, b) => a.untilMs - b.untilMs)
        this.#bySecond.delete(second)
        if (due.length === 0) break
        for (const sleeper of due) {
          this.#nowMs = Math.max(this.#nowMs, sleeper.untilMs)
          if (!sleeper.isGone) sleeper.wake()
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      this.#nowMs = Math.max(this.#nowMs, (second + 1) * 1000)
    }
  }
}
