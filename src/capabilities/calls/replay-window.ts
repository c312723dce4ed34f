/** How far a number may lie behind the highest that came. */
const size = 32_768

/** Remembers which numbers came, so that none is taken twice. Those that are too far behind count as taken. */
export class ReplayWindow {
  readonly #taken = new Uint8Array(size / 8)
  #highest = 0

  /** @returns whether it came for the first time; @param number a positive safe integer */
  take(number: number): boolean {
    if (number <= this.#highest - size || number <= 0) return false
    if (number > this.#highest) {
      if (number - this.#highest >= size) this.#taken.fill(0)
      else for (let each = this.#highest + 1; each < number; each++) this.#set(each, false)
      this.#highest = number
    } else if ((this.#taken[(number % size) >> 3]! & (1 << (number & 7))) !== 0) return false
    this.#set(number, true)
    return true
  }

  #set(number: number, taken: boolean): void {
    const at = (number % size) >> 3
    const bit = 1 << (number & 7)
    this.#taken[at] = taken ? this.#taken[at]! | bit : this.#taken[at]! & ~bit
  }
}
