import type { Vitals } from './vitals.ts'

const intervalMs = 50

type Watched = { readonly vitals: Vitals; readonly limitMs: number; readonly onStall: (stalledMs: number) => void }

/** Notices cells whose event loop stands still while they have work, from outside, by their shared heartbeat. */
export class Watchdog implements Disposable {
  readonly #watched = new Map<Watched, { beat: number; sinceMs: number }>()
  readonly #timer: NodeJS.Timeout
  #lastMs = performance.now()

  constructor() {
    this.#timer = setInterval(() => this.#check(), intervalMs)
    this.#timer.unref()
  }

  /** @returns a function that ends the watch */
  watch(watched: Watched): () => void {
    this.#watched.set(watched, { beat: -1, sinceMs: performance.now() })
    return () => void this.#watched.delete(watched)
  }

  #check(): void {
    const now = performance.now()
    // When this thread itself was held up, so may the cells have been: nobody is blamed for that time.
    const ownDelayMs = Math.max(0, now - this.#lastMs - 2 * intervalMs)
    this.#lastMs = now
    for (const [watched, seen] of this.#watched) {
      const beat = watched.vitals.get('beat')
      if (watched.vitals.get('ticking') === 0 || beat !== seen.beat) {
        seen.beat = beat
        seen.sinceMs = now
        continue
      }
      seen.sinceMs += ownDelayMs
      const stalledMs = Math.round(now - seen.sinceMs)
      if (stalledMs < watched.limitMs) continue
      seen.sinceMs = now
      watched.onStall(stalledMs)
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#watched.clear()
  }
}
