/** Who can be on a {@link Roster}, on one at a time. */
export interface Rostered {
  /** Where on it; only the roster writes it. */
  place: number
}

/**
 * Those who are present, in no order; each comes and goes in constant time. For what comes and goes with every request: V8 makes a `Set` or
 * `Map` a new table every few changes, and the table left behind refers to its successor. As soon as one has reached the old generation, all
 * that follow and whatever was in them survive every young collection, until the next full one.
 */
export class Roster<T extends Rostered> {
  readonly #present: T[] = []

  get size(): number {
    return this.#present.length
  }

  join(item: T): void {
    item.place = this.#present.push(item) - 1
  }

  /** @returns whether it was there */
  leave(item: T): boolean {
    const { place } = item
    if (this.#present[place] !== item) return false
    const last = this.#present.pop()!
    if (last !== item) {
      this.#present[place] = last
      last.place = place
    }
    item.place = -1
    return true
  }

  /** A copy: who is on it may change meanwhile. */
  all(): T[] {
    return this.#present.slice()
  }
}
