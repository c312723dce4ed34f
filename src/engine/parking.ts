import type { Vitals } from './vitals.ts'

const sweepMs = 250
/** One of too many that had work before is left alone for so long: parking what is used every few seconds would cost more than it saves. */
const settledMs = 10_000

/** A cell that may be without its thread while nobody needs it. */
export type Parkable = {
  readonly vitals: Vitals
  /** Without work for so long it is parked, ms. */
  readonly idleTimeoutMs: number
  /** It has its thread, and nothing to do. */
  readonly idle: () => boolean
  /** Ends the thread if it is still idle. */
  readonly park: () => Promise<unknown>
}

type Seen = { sinceMs: number; requests: number; used: boolean; parking: boolean }

/**
 * Decides which cells give their threads back: those without work for their time, and beyond `warmCells` the longest idle ones,
 * first of all those that never had any. So as many workloads as the host has memory for can be deployed at once.
 */
export class Parking implements Disposable {
  readonly #warmCells: number
  readonly #cells = new Map<Parkable, Seen>()
  #timer: NodeJS.Timeout | undefined

  /** @param warmCells idle cells that keep their threads until their own time is over */
  constructor({ warmCells }: { warmCells: number }) {
    this.#warmCells = warmCells
  }

  /** From when it serves. @returns a function that ends it */
  add(cell: Parkable): () => void {
    const seen = { sinceMs: performance.now(), requests: cell.vitals.get('requests'), used: false, parking: false }
    this.#cells.set(cell, seen)
    this.#timer ??= setInterval(() => this.#sweep(), sweepMs).unref()
    return () => void this.#cells.delete(cell)
  }

  #sweep(): void {
    const now = performance.now()
    const idle: { readonly cell: Parkable; readonly seen: Seen }[] = []
    for (const [cell, seen] of this.#cells) {
      const requests = cell.vitals.get('requests')
      if (requests !== seen.requests || !cell.idle()) {
        if (requests !== seen.requests) seen.used = true
        seen.requests = requests
        seen.sinceMs = now
      } else if (now - seen.sinceMs >= cell.idleTimeoutMs) this.#park(cell, seen)
      else if (!seen.parking) idle.push({ cell, seen })
    }
    const surplus = idle.length - this.#warmCells
    if (surplus <= 0) return
    const candidates = idle
      .filter(({ seen }) => !seen.used || now - seen.sinceMs >= settledMs)
      .sort((a, b) => Number(a.seen.used) - Number(b.seen.used) || a.seen.sinceMs - b.seen.sinceMs)
    for (const { cell, seen } of candidates.slice(0, surplus)) this.#park(cell, seen)
  }

  #park(cell: Parkable, seen: Seen): void {
    if (seen.parking) return
    seen.parking = true
    void cell.park().finally(() => {
      seen.parking = false
      seen.sinceMs = performance.now()
    })
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#cells.clear()
  }
}
