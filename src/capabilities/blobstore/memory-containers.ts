import {
  type BlobContainer,
  type BlobReading,
  BlobRefusal,
  type ContainerSource,
  type NextBytes,
  partOf,
  pieceBytes,
} from './blob-container.ts'

type Stored = { readonly bytes: Uint8Array; readonly createdAtMs: number }

/** Containers in the host's memory, shared by the workloads that reach the same one; all are gone when no workload uses this backend. */
export class MemoryContainers {
  readonly #containers = new Map<string, MemoryContainer>()
  #users = 0

  source({ maxBytes }: { readonly maxBytes: number }): ContainerSource {
    this.#users += 1
    let open = true
    return {
      open: async (name) => this.#containers.get(name),
      create: async (name) => {
        const container = this.#containers.get(name) ?? new MemoryContainer(maxBytes)
        this.#containers.set(name, container)
        return container
      },
      remove: async (name) => void this.#containers.delete(name),
      [Symbol.asyncDispose]: async () => {
        if (open && --this.#users === 0) this.#containers.clear()
        open = false
      },
    }
  }
}

class MemoryContainer implements BlobContainer {
  readonly createdAtMs = Date.now()
  readonly #objects = new Map<string, Stored>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  async read(name: string, range: { start: number; end: number }): Promise<BlobReading | undefined> {
    const found = this.#objects.get(name)
    if (found === undefined) return undefined
    const { from, to } = partOf(found.bytes.length, range)
    let at = from
    return {
      size: to - from,
      async next() {
        if (at >= to) return undefined
        const piece = found.bytes.slice(at, Math.min(at + pieceBytes, to))
        at += piece.length
        return piece
      },
      async close() {},
    }
  }

  async write(name: string, next: NextBytes) {
    const pieces: Uint8Array[] = []
    let length = 0
    for (let piece = await next(); piece !== undefined; piece = await next()) {
      pieces.push(piece)
      length += piece.length
      this.#more(name, length)
    }
    const more = this.#more(name, length)
    this.#bytes += more
    this.#objects.set(name, { bytes: Buffer.concat(pieces, length), createdAtMs: Date.now() })
  }

  /** By how much the container grows. @throws BlobRefusal when that is too much */
  #more(name: string, length: number): number {
    const more = length - (this.#objects.get(name)?.bytes.length ?? -name.length)
    if (more > 0 && this.#bytes + more > this.#maxBytes) {
      throw new BlobRefusal(`the container is full: it holds ${this.#maxBytes} bytes`)
    }
    return more
  }

  async info(name: string) {
    const found = this.#objects.get(name)
    return found && { size: found.bytes.length, createdAtMs: found.createdAtMs }
  }

  async delete(name: string) {
    const found = this.#objects.get(name)
    if (found === undefined) return
    this.#objects.delete(name)
    this.#bytes -= found.bytes.length + name.length
  }

  async list() {
    return [...this.#objects.keys()]
  }
}
