import type { Dir } from 'node:fs'
import type { InstanceState } from '../instance-state.ts'
import { type DescriptorType, typeOf } from './descriptor-stat.ts'
import { translating } from './error-code.ts'

/** `wasi:filesystem/types#directory-entry-stream`. */
export class DirectoryEntryStream {
  readonly #instance: InstanceState
  readonly #directory: Dir
  #closed = false

  constructor(instance: InstanceState, directory: Dir) {
    this.#instance = instance
    this.#directory = directory
    instance.adopt(this)
  }

  readDirectoryEntry(): { readonly type: DescriptorType; readonly name: string } | undefined {
    if (this.#closed) throw 'bad-descriptor'
    const entry = translating(() => this.#directory.readSync())
    return entry === null ? undefined : { type: typeOf(entry), name: entry.name }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#instance.release(this)
    this.#directory.closeSync()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
