import type { KvBucket, KvBucketOptions } from '../../lattice/kv-bucket.ts'
import type { Lattice } from '../../lattice/lattice.ts'
import type { OwnLattice } from '../own-lattice.ts'
import { type Bucket, type BucketSource, type KeyPage, pageOf } from './bucket.ts'
import { addToCounter } from './counter.ts'
import { decodeKey, encodeNatsKey } from './key-encoding.ts'
import { refuse } from './keyvalue-error.ts'

const maxKeys = 100_000
const atOnce = 64
const incrementTries = 50
const openTimeoutMs = 10_000

/** Buckets of JetStream, made when they are not there. A connection of the component's own ends with them. */
export function natsBuckets(from: Lattice | OwnLattice, options: KvBucketOptions): BucketSource {
  const [lattice, own] = 'lattice' in from ? [from.lattice, from] : [from, undefined]
  return {
    async open(name) {
      return new NatsBucket(
        await lattice.openKvBucket(name, { ...options, signal: AbortSignal.timeout(openTimeoutMs) }),
      )
    },
    async [Symbol.asyncDispose]() {
      await own?.[Symbol.asyncDispose]()
    },
  }
}

class NatsBucket implements Bucket {
  readonly #kv: KvBucket

  constructor(kv: KvBucket) {
    this.#kv = kv
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#kv.get(encodeNatsKey(key)).then((entry) => entry?.value)
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    await this.#kv.put(encodeNatsKey(key), value)
  }

  delete(key: string): Promise<void> {
    return this.#kv.delete(encodeNatsKey(key))
  }

  async exists(key: string): Promise<boolean> {
    return (await this.#kv.get(encodeNatsKey(key))) !== undefined
  }

  async listKeys(cursor: bigint | undefined): Promise<KeyPage> {
    const keys = await this.#kv.keys(maxKeys)
    if (keys.length >= maxKeys) throw refuse(`the bucket has more than ${maxKeys} keys: they cannot be listed`)
    return pageOf(
      keys.map((key) => decodeKey(key, '=')),
      cursor,
    )
  }

  /** By compare and set, again after each time that another was first. */
  async increment(key: string, delta: bigint): Promise<bigint> {
    const encoded = encodeNatsKey(key)
    for (let tries = 0; tries < incrementTries; tries++) {
      const entry = await this.#kv.get(encoded)
      const { sum, bytes } = addToCounter(entry?.value, delta)
      if (entry !== undefined) {
        if (await this.#kv.put(encoded, bytes, entry.revision)) return sum
      } else if (await this.#kv.create(encoded, bytes)) return sum
    }
    throw refuse('the counter is changed by too many at once: try again')
  }

  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return inTurn(keys, (key) => this.get(key))
  }

  async setMany(pairs: readonly (readonly [string, Uint8Array])[]): Promise<void> {
    await inTurn(pairs, ([key, value]) => this.set(key, value))
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    await inTurn(keys, (key) => this.delete(key))
  }
}

/** So many at once, results in order; the first failure ends it. */
async function inTurn<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let from = 0; from < items.length; from += atOnce) {
    results.push(...(await Promise.all(items.slice(from, from + atOnce).map(act))))
  }
  return results
}
