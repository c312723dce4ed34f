/** Shorter ones cost less to make anew. */
const leastBytes = 16_384
/** All that are kept at a time. */
const keptBytes = 4 * 1024 * 1024

/**
 * Arrays that bytes of guests are copied into on their way to a socket, for the next ones. A new one costs V8 the wiping, and counts as
 * memory outside of its heap, of which 64 MiB bring about a full collection.
 */
export class ByteShelf {
  #shelf: Uint8Array[] = []
  #bytes = 0
  readonly #own = new WeakSet<Uint8Array>()

  /** Of that length; what is in it is for the taker to overwrite. */
  take(length: number): Uint8Array {
    if (length < leastBytes) return new Uint8Array(length)
    for (let at = this.#shelf.length - 1; at >= 0; at--) {
      const found = this.#shelf[at]!
      if (found.length !== length) continue
      this.#shelf.splice(at, 1)
      this.#bytes -= length
      return found
    }
    const made = Buffer.allocUnsafeSlow(length)
    this.#own.add(made)
    return made
  }

  /** Nobody reads it any more. One that was not taken here, or only a part of one, is left alone: somebody may have the rest. */
  give(bytes: Uint8Array): void {
    if (!this.#own.has(bytes) || bytes.length === 0) return
    while (this.#bytes + bytes.length > keptBytes) {
      const oldest = this.#shelf.shift()
      if (oldest === undefined) return
      this.#bytes -= oldest.length
    }
    this.#shelf.push(bytes)
    this.#bytes += bytes.length
  }
}
