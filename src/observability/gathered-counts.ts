const reportMs = 1_000
const maxKeys = 64
/** What is counted beyond as many keys as are told apart. */
export const otherKeys = '(others)'

/** Counts by key, and hands on what is new about once a second. */
export class GatheredCounts {
  readonly #send: (counts: readonly (readonly [key: string, count: number])[]) => void
  #counts = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(send: (counts: readonly (readonly [key: string, count: number])[]) => void) {
    this.#send = send
  }

  add(key: string, count = 1): void {
    const counts = this.#counts
    const known = counts.get(key)
    if (known === undefined && counts.size >= maxKeys) key = otherKeys
    counts.set(key, (known ?? counts.get(key) ?? 0) + count)
    this.#timer ??= setTimeout(() => this.flush(), reportMs).unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const counts = [...this.#counts]
    if (counts.length === 0) return
    this.#counts = new Map()
    this.#send(counts)
  }
}
