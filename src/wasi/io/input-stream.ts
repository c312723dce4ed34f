import type { InstanceState } from '../instance-state.ts'
import { type ByteSource, noBytes } from './byte-source.ts'
import { closed } from './io-error.ts'
import { Pollable } from './pollable.ts'

/** The most bytes one call returns, whatever the guest asks for. */
const maxReadBytes = 1 << 20

/** `wasi:io/streams#input-stream`. Errors are thrown as `stream-error`. */
export class InputStream {
  readonly #instance: InstanceState
  readonly #source: ByteSource
  #dropped = false

  constructor(instance: InstanceState, source: ByteSource) {
    this.#instance = instance
    this.#source = source
  }

  get dropped(): boolean {
    return this.#dropped
  }

  read(length: bigint): Uint8Array {
    return this.take(clampLength(length))
  }

  blockingRead(length: bigint): Uint8Array | Promise<Uint8Array> {
    const max = clampLength(length)
    const bytes = this.take(max)
    if (bytes.length === 0 && max > 0) return this.#waitAndTake(max)
    const turn = this.#instance.breathe()
    return turn === undefined ? bytes : turn.then(() => bytes)
  }

  skip(length: bigint): bigint {
    return BigInt(this.take(clampLength(length)).length)
  }

  blockingSkip(length: bigint): bigint | Promise<bigint> {
    const bytes = this.blockingRead(length)
    return bytes instanceof Promise ? bytes.then(({ length }) => BigInt(length)) : BigInt(bytes.length)
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this.#source)
  }

  /** Bytes that are there now, for the host's own use (splice). @throws StreamError */
  take(max: number): Uint8Array {
    if (this.#dropped) throw closed
    this.#instance.throwIfEnded()
    return max === 0 ? noBytes : this.#source.take(max)
  }

  /** Resolves once `take` makes progress. */
  untilReady(): Promise<void> | undefined {
    return this.#source.ready() ? undefined : this.#instance.waitFor(this.#source)
  }

  async #waitAndTake(max: number): Promise<Uint8Array> {
    for (;;) {
      await this.#instance.waitFor(this.#source)
      const bytes = this.take(max)
      if (bytes.length > 0) return bytes
    }
  }

  [Symbol.dispose](): void {
    if (this.#dropped) return
    this.#dropped = true
    this.#source.close()
  }
}

function clampLength(length: bigint): number {
  return length > maxReadBytes ? maxReadBytes : Number(length)
}
