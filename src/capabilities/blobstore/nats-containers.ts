import type { Lattice } from '../../lattice/lattice.ts'
import type { ObjectBucket } from '../../lattice/object-bucket.ts'
import type { OwnLattice } from '../own-lattice.ts'
import {
  type BlobContainer,
  type BlobReading,
  BlobRefusal,
  type ContainerSource,
  maxListed,
  type NextBytes,
  partOf,
} from './blob-container.ts'

const openTimeoutMs = 10_000

/** Containers are object buckets of JetStream. A connection of the component's own ends with them. */
export function natsContainers(
  from: Lattice | OwnLattice,
  create: { readonly replicas: number; readonly storage: 'file' | 'memory' },
): ContainerSource {
  const [lattice, own] = 'lattice' in from ? [from.lattice, from] : [from, undefined]
  const open = (name: string, options: { create?: typeof create }): Promise<ObjectBucket | undefined> =>
    lattice.openObjectBucket(name, { ...options, signal: AbortSignal.timeout(openTimeoutMs) })
  return {
    async open(name) {
      const bucket = await open(name, {})
      return bucket && new NatsContainer(bucket)
    },
    async create(name) {
      const bucket = await open(name, { create })
      if (bucket === undefined) throw new BlobRefusal('the container was deleted meanwhile')
      return new NatsContainer(bucket)
    },
    async remove(name) {
      await (await open(name, {}))?.destroy()
    },
    async [Symbol.asyncDispose]() {
      await own?.[Symbol.asyncDispose]()
    },
  }
}

class NatsContainer implements BlobContainer {
  readonly #bucket: ObjectBucket

  constructor(bucket: ObjectBucket) {
    this.#bucket = bucket
  }

  get createdAtMs(): number {
    return this.#bucket.createdAt.getTime()
  }

  /** JetStream finds pieces in their order only, so what stands before the part is read and left out. */
  async read(name: string, range: { start: number; end: number }): Promise<BlobReading | undefined> {
    const object = await this.#bucket.read(name)
    if (object === undefined) return undefined
    const { from, to } = partOf(object.size, range)
    let at = 0
    return {
      size: to - from,
      async next() {
        while (at < to) {
          const piece = await object.next()
          if (piece === undefined) break
          const begin = at
          at += piece.length
          if (at > from) return piece.subarray(Math.max(0, from - begin), to - begin)
        }
        return undefined
      },
      async close() {},
    }
  }

  write(name: string, next: NextBytes): Promise<void> {
    return this.#bucket.write(name, next)
  }

  async info(name: string) {
    const info = await this.#bucket.info(name)
    return info && { size: info.size, createdAtMs: info.modifiedAt.getTime() }
  }

  async delete(name: string): Promise<void> {
    await this.#bucket.delete(name)
  }

  async list(): Promise<string[]> {
    const found = await this.#bucket.list()
    if (found.length > maxListed) throw new BlobRefusal(`more than ${maxListed} objects cannot be listed`)
    return found.map(({ name }) => name)
  }
}
