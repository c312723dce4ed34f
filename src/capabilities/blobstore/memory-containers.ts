import { type BlobContainer, BlobRefusal, type ContainerSource, partOf } from './blob-container.ts'

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

  async read(name: string, range: { start: number; end: number; maxBytes: number }) {
    const found = this.#objects.get(name)
    if (found === undefined) return undefined
    const { from, to } = partOf(found.bytes.length, range)
    return found.bytes.slice(from, to)
  }

  async write(name: string, bytes: Uint8Array) {
    const more = bytes.length - (this.#objects.get(name)?.bytes.length ?? -name.length)
    if (more > 0 && this.#bytes + more > this.#maxBytes) {
      throw new BlobRefusal(`the container is full: it holds ${this.#maxBytes} bytes`)
    }
    this.#bytes += more
    this.#objects.set(name, { bytes, createdAtMs: Date.now() })
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
