/** Moments that are tried for each renewal before the least full one is taken. */
const tries = 32

export type Reservation = {
  readonly atMs: number
  /** Idempotent. */
  release(): void
}

/**
 * When the tokens of a host are renewed: at random in the time there is for each, but in no second that is full already. Full is what there
 * would be in each if all renewals to come were spread evenly over that time. Jitter alone leaves waves where many tokens were issued together, as
 * after a restart; always taking the emptiest second would push everything to the end of its time, where nobody has reserved yet.
 */
export class RenewalSchedule {
  readonly #random: () => number
  /** Second since the epoch → renewals reserved in it. */
  readonly #load = new Map<number, number>()
  #reserved = 0

  /** @param random 0 ≤ x < 1 */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Renewals to come. */
  get reserved(): number {
    return this.#reserved
  }

  reserve(fromMs: number, toMs: number): Reservation {
    const full = Math.max(1, ((this.#reserved + 1) * 1000 * 1.03) / Math.max(toMs - fromMs, 1000))
    let bestMs = fromMs
    let least = Number.POSITIVE_INFINITY
    for (let tried = 0; tried < tries && least >= full; tried++) {
      const atMs = fromMs + (toMs - fromMs) * this.#random()
      const load = this.#load.get(secondOf(atMs)) ?? 0
      if (load < least) [bestMs, least] = [atMs, load]
    }
    const second = secondOf(bestMs)
    this.#load.set(second, least + 1)
    this.#reserved += 1
    let held = true
    return {
      atMs: bestMs,
      release: () => {
        if (!held) return
        held = false
        this.#reserved -= 1
        const left = (this.#load.get(second) ?? 1) - 1
        if (left === 0) this.#load.delete(second)
        else this.#load.set(second, left)
      },
    }
  }
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1000)
}
