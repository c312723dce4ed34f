import type { Clock } from '../../src/clock/clock.ts'

/** Time that stands still until a test moves it. */
export class FakeClock implements Clock {
  #nowMs: number
  readonly #sleepers = new Set<{ untilMs: number; wake: () => void }>()

  constructor(nowMs = Date.now()) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  get sleeping(): number {
    return this.#sleepers.size
  }

  sleep(durationMs: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const sleeper = { untilMs: this.#nowMs + durationMs, wake: resolve }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        if (this.#sleepers.delete(sleeper)) reject(signal.reason)
      })
    })
  }

  /** Moves time on, waking every sleeper at its moment, and lets what it wakes run. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs
    await settle()
    for (;;) {
      const next = [...this.#sleepers].filter((one) => one.untilMs <= untilMs).sort((a, b) => a.untilMs - b.untilMs)[0]
      if (next === undefined) break
      this.#nowMs = Math.max(this.#nowMs, next.untilMs)
      this.#sleepers.delete(next)
      next.wake()
      await settle()
    }
    this.#nowMs = untilMs
  }
}

/** Lets promises and what runs on other threads (signatures) come to an end, however busy the machine is: a turn ends once those threads have done work of its own. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) {
    await Promise.all(Array.from({ length: 8 }, () => crypto.subtle.digest('SHA-256', new Uint8Array(1))))
    await new Promise((resolve) => setTimeout(resolve, turn < 8 ? 0 : 1))
  }
}
