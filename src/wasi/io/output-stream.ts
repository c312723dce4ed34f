import type { InstanceState } from '../instance-state.ts'
import type { ByteSink } from './byte-sink.ts'
import type { InputStream } from './input-stream.ts'
import { closed } from './io-error.ts'
import { Pollable } from './pollable.ts'

/** The most `check-write` ever permits at once. */
const maxPermitBytes = 1 << 20
/** Zeroes are written in pieces of at most this size. */
const zeroesPieceBytes = 1 << 16

/** `wasi:io/streams#output-stream`. Errors are thrown as `stream-error`. */
export class OutputStream {
  readonly #instance: InstanceState
  readonly #sink: ByteSink
  /** What the last `check-write` permitted and has not been written since. */
  #permit = 0
  #dropped = false

  constructor(instance: InstanceState, sink: ByteSink) {
    this.#instance = instance
    this.#sink = sink
  }

  get dropped(): boolean {
    return this.#dropped
  }

  checkWrite(): bigint {
    this.#permit = this.#capacity()
    return BigInt(this.#permit)
  }

  /** @throws Error (a trap) for more than `check-write` has permitted, as the interface demands. */
  write(contents: Uint8Array): void {
    if (this.#dropped) throw closed
    this.#usePermit(contents.length)
    if (contents.length > 0) this.#sink.write(contents)
  }

  blockingWriteAndFlush(contents: Uint8Array): Promise<void> | undefined {
    if (this.#capacity() >= contents.length) {
      if (contents.length > 0) this.#sink.write(contents)
      return this.blockingFlush()
    }
    return this.#writeAll(contents)
  }

  flush(): void {
    this.#capacity()
  }

  blockingFlush(): Promise<void> | undefined {
    if (this.#dropped) throw closed
    return this.#sink.flushed() ? this.#instance.breathe() : this.#waitUntilFlushed()
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this.#sink)
  }

  writeZeroes(length: bigint): void {
    if (this.#dropped) throw closed
    if (length > BigInt(this.#permit)) throw tooMuch()
    this.#usePermit(Number(length))
    for (let left = Number(length); left > 0; left -= zeroesPieceBytes) {
      this.#sink.write(new Uint8Array(Math.min(left, zeroesPieceBytes)))
    }
  }

  async blockingWriteZeroesAndFlush(length: bigint): Promise<void> {
    for (let left = length; left > 0n; ) {
      const piece = await this.#waitForCapacity(left < zeroesPieceBytes ? Number(left) : zeroesPieceBytes)
      this.#sink.write(new Uint8Array(piece))
      left -= BigInt(piece)
    }
    await this.blockingFlush()
  }

  splice(source: InputStream, length: bigint): bigint {
    const capacity = this.#capacity()
    const bytes = source.take(length < BigInt(capacity) ? Number(length) : capacity)
    if (bytes.length > 0) this.#sink.write(bytes)
    return BigInt(bytes.length)
  }

  async blockingSplice(source: InputStream, length: bigint): Promise<bigint> {
    if (length === 0n) return 0n
    for (;;) {
      await this.#waitForCapacity(1)
      await source.untilReady()
      const moved = this.splice(source, length)
      if (moved > 0n) {
        await this.#instance.breathe()
        return moved
      }
    }
  }

  /** @throws StreamError */
  #capacity(): number {
    if (this.#dropped) throw closed
    this.#instance.throwIfEnded()
    const capacity = this.#sink.capacity()
    return Math.min(capacity, maxPermitBytes)
  }

  #usePermit(bytes: number): void {
    if (bytes > this.#permit) throw tooMuch()
    this.#permit -= bytes
  }

  /** How much of `wanted` (≥ 1) can be written now, waiting until that is at least 1. */
  async #waitForCapacity(wanted: number): Promise<number> {
    for (;;) {
      const capacity = this.#capacity()
      if (capacity > 0) return Math.min(capacity, wanted)
      await this.#instance.waitFor(this.#sink)
    }
  }

  async #writeAll(contents: Uint8Array): Promise<void> {
    for (let offset = 0; offset < contents.length; ) {
      const piece = await this.#waitForCapacity(contents.length - offset)
      this.#sink.write(contents.subarray(offset, offset + piece))
      offset += piece
    }
    await this.blockingFlush()
  }

  async #waitUntilFlushed(): Promise<void> {
    while (!this.#sink.flushed()) await this.#instance.waitFor(this.#sink)
  }

  [Symbol.dispose](): void {
    if (this.#dropped) return
    this.#dropped = true
    this.#sink.close()
  }
}

function tooMuch(): Error {
  return new Error('wasi:io/streams: more was written than check-write had permitted')
}
