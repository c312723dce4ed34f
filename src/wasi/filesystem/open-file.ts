import { closeSync } from 'node:fs'
import type { Closable, InstanceState } from '../instance-state.ts'

/** A file descriptor of the host, shared by a guest's descriptor and the streams over it; closed with the last of them. */
export class OpenFile implements Closable {
  readonly fd: number
  readonly #instance: InstanceState | undefined
  #holders = 1
  #closed = false

  /** @param instance whose end closes the file; none for a preopen, which all instances of the component share */
  constructor(fd: number, instance: InstanceState | undefined) {
    this.fd = fd
    this.#instance = instance
    instance?.adopt(this)
  }

  get closed(): boolean {
    return this.#closed
  }

  hold(): this {
    this.#holders++
    return this
  }

  release(): void {
    if (--this.#holders === 0) this.close()
  }

  close(): void {
    if (this.#closed || (this.#instance === undefined && this.#holders > 0)) return
    this.#closed = true
    this.#instance?.release(this)
    try {
      closeSync(this.fd)
    } catch {
      // The descriptor is gone either way.
    }
  }
}
