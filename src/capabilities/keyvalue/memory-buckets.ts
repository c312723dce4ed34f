import { type Bucket, type BucketSource, pageOf } from './bucket.ts'
import { addToCounter } from './counter.ts'
import { refuse } from './keyvalue-error.ts'

/** Buckets in the host's memory: shared by all workloads of this host that reach the same one, and gone when none of them is left. */
export class MemoryBuckets {
  readonly #held = new Map<string, { readonly bucket: MemoryBucket; users: number }>()

  source({ maxBytes }: { readonly maxBytes: number }): BucketSource {
    const names = new Set<string>()
    return {
      open: async (name) => {
        const held = this.#held.get(name) ?? { bucket: new MemoryBucket(maxBytes), users: 0 }
        this.#held.set(name, held)
        if (!names.has(name)) held.users += 1
        names.add(name)
        return held.bucket
      },
      [Symbol.asyncDispose]: async () => {
        for (const name of names) {
          const held = this.#held.get(name)
          if (held !== undefined && --held.users === 0) this.#held.delete(name)
        }
        names.clear()
      },
    }
  }
}

class MemoryBucket implements Bucket {
  readonly #values = new Map<string, Uint8Array>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  async get(key: string) {
    return this.#values.get(key)
  }

  async set(key: string, value: Uint8Array) {
    this.#put(key, value)
  }

  async delete(key: string) {
    this.#remove(key)
  }

  async exists(key: string) {
    return this.#values.has(key)
  }

  async listKeys(cursor: bigint | undefined) {
    return pageOf([...this.#values.keys()], cursor)
  }

  async increment(key: string, delta: bigint) {
    const { sum, bytes } = addToCounter(this.#values.get(key), delta)
    this.#put(key, bytes)
    return sum
  }

  async getMany(keys: readonly string[]) {
    return keys.map((key) => this.#values.get(key))
  }

  async setMany(pairs: readonly (readonly [string, Uint8Array])[]) {
    for (const [key, value] of pairs) this.#put(key, value)
  }

  async deleteMany(keys: readonly string[]) {
    for (const key of keys) this.#remove(key)
  }

  #put(key: string, value: Uint8Array): void {
    const before = this.#values.get(key)
    const more = value.length - (before?.length ?? 0) + (before === undefined ? key.length : 0)
    if (more > 0 && this.#bytes + more > this.#maxBytes)
      throw refuse(`the bucket is full: it holds ${this.#maxBytes} bytes`)
    this.#bytes += more
    this.#values.set(key, value)
  }

  #remove(key: string): void {
    const before = this.#values.get(key)
    if (before === undefined) return
    this.#values.delete(key)
    this.#bytes -= before.length + key.length
  }
}
