import type { HostedMemory } from './core-module.ts'

const pageBytes = 65_536
/** Larger ones cost more to wipe than to make anew. */
const largestKeptBytes = 4 * 1024 * 1024
/** All that are kept at a time, bytes and number. */
const keptBytes = 16 * 1024 * 1024
const keptCount = 16
/** V8 notes with each memory the instances that have had it. */
const maxUses = 1_000

export type ShelvedMemory = { readonly memory: WebAssembly.Memory; readonly spec: HostedMemory; uses: number }

/**
 * Linear memories from instance to instance, wiped in between. Making one costs a mapping, its page faults and, worst, the garbage
 * collector's attention: V8 counts its bytes and collects the whole heap every hundred instances.
 */
export class MemoryShelf {
  #shelf: ShelvedMemory[] = []
  #bytes = 0

  /** All zero, of the size that `spec` says. */
  take(spec: HostedMemory): ShelvedMemory {
    const index = this.#shelf.findIndex(
      (each) => each.spec.initial === spec.initial && each.spec.maximum === spec.maximum,
    )
    const found = index === -1 ? undefined : this.#shelf.splice(index, 1)[0]
    if (found === undefined) return { memory: new WebAssembly.Memory(spec), spec, uses: 1 }
    this.#bytes -= spec.initial * pageBytes
    found.uses += 1
    return found
  }

  /** @param shelved nothing of the instance that had it may run any more */
  give(shelved: ShelvedMemory): void {
    const { buffer } = shelved.memory
    const bytes = shelved.spec.initial * pageBytes
    // One that has grown cannot shrink again.
    if (buffer.byteLength !== bytes || bytes > largestKeptBytes || shelved.uses >= maxUses) return
    if (this.#shelf.length >= keptCount || this.#bytes + bytes > keptBytes) return
    new Uint8Array(buffer).fill(0)
    this.#shelf.push(shelved)
    this.#bytes += bytes
  }
}
