import type { Lattice } from '../../lattice/lattice.ts'
import type { ObjectBucket } from '../../lattice/object-bucket.ts'
import { type BlobContainer, BlobRefusal, type ContainerSource, maxListed, partOf } from './blob-container.ts'

const openTimeoutMs = 10_000

/** Containers are object buckets of JetStream. */
export function natsContainers(
  lattice: Lattice,
  create: { readonly replicas: number; readonly storage: 'file' | 'memory' },
): ContainerSource {
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
    async [Symbol.asyncDispose]() {},
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

  /** JetStream gives an object whole or not at all; so its whole size counts. */
  async read(name: string, range: { start: number; end: number; maxBytes: number }): Promise<Uint8Array | undefined> {
    const info = await this.#bucket.info(name)
    if (info === undefined) return undefined
    partOf(info.size, { start: 0, end: info.size, maxBytes: range.maxBytes })
    const bytes = await this.#bucket.get(name)
    if (bytes === undefined) return undefined
    const { from, to } = partOf(bytes.length, range)
    return bytes.slice(from, to)
  }

  write(name: string, bytes: Uint8Array): Promise<void> {
    return this.#bucket.put(name, bytes)
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
