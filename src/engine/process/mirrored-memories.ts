type Memory = { readonly cells: Int32Array; readonly seen: Int32Array }

/**
 * One side's end of memories that two processes would share if they could. All they hold are counters of 32 bits that are added to; so each side
 * tells the other what was added on its own, and both come to the same sum, whoever adds in the meantime.
 */
export class MirroredMemories {
  readonly #memories: Memory[] = []

  /** To be called in the same order on both sides, with the same contents. */
  add(memory: SharedArrayBuffer): void {
    const cells = new Int32Array(memory)
    this.#memories.push({ cells, seen: cells.slice() })
  }

  /** What each holds, and is taken to be known on the other side from now on. */
  contents(): Int32Array[] {
    return this.#memories.map(({ seen }) => seen.slice())
  }

  /** What was added on this side since the last time: memory, cell and amount in turn; `undefined`: nothing. */
  collect(): number[] | undefined {
    let added: number[] | undefined
    for (const [index, { cells, seen }] of this.#memories.entries()) {
      for (let cell = 0; cell < cells.length; cell++) {
        const value = Atomics.load(cells, cell)
        const amount = (value - seen[cell]!) | 0
        if (amount === 0) continue
        seen[cell] = value
        added ??= []
        added.push(index, cell, amount)
      }
    }
    return added
  }

  /** Adds what the other side collected, and wakes who waits for it. @throws RangeError when it names what is not there */
  apply(added: readonly number[]): void {
    for (let at = 0; at < added.length; at += 3) {
      const [index, cell, amount] = [added[at]!, added[at + 1]!, added[at + 2]!]
      const memory = this.#memories[index]
      if (memory === undefined || !(cell >= 0 && cell < memory.cells.length) || !Number.isInteger(cell)) {
        throw new RangeError('no such counter')
      }
      memory.seen[cell]! += amount
      Atomics.add(memory.cells, cell, amount)
      Atomics.notify(memory.cells, cell)
    }
  }
}
