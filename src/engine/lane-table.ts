/** More than there can be requests in flight: a thread takes no more connections. */
const places = 2 ** 20
/** After so many the turns begin anew: an id stays an integer that a number holds exactly, however long the lane lives. */
const turns = 2 ** 32

/**
 * The requests in flight on a lane by their ids, which hold a place in an array and a turn: whoever has the place after another has another id.
 * No `Map`, for the reason that `Roster` gives.
 */
export class LaneTable<T extends { readonly id: number }> {
  readonly #entries: (T | undefined)[] = []
  #place = 0
  #turn = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** For the side that numbers the requests: an id that nobody has had. */
  nextId(): number {
    const entries = this.#entries
    if (this.#size * 2 >= entries.length) this.#reach(entries.length + 31)
    do this.#place = (this.#place + 1) % entries.length
    while (entries[this.#place] !== undefined)
    this.#turn = (this.#turn + 1) % turns
    return this.#turn * places + this.#place
  }

  get(id: number): T | undefined {
    const entry = this.#entries[placeOf(id)]
    return entry?.id === id ? entry : undefined
  }

  add(entry: T): void {
    const place = placeOf(entry.id)
    this.#reach(place)
    if (this.#entries[place] === undefined) this.#size += 1
    this.#entries[place] = entry
  }

  delete(id: number): void {
    if (this.get(id) === undefined) return
    this.#entries[placeOf(id)] = undefined
    this.#size -= 1
  }

  all(): T[] {
    return this.#entries.filter((entry) => entry !== undefined)
  }

  #reach(place: number): void {
    while (this.#entries.length <= place) this.#entries.push(undefined)
  }
}

function placeOf(id: number): number {
  return id & (places - 1)
}
