import { readSync, writeSync } from 'node:fs'
import { ByteSink } from '../io/byte-sink.ts'
import { ByteSource, FailureOnce } from '../io/byte-source.ts'
import { closed, IoError } from '../io/io-error.ts'
import { filesystemErrorOf } from './error-code.ts'
import type { OpenFile } from './open-file.ts'

const pieceBytes = 64 * 1024

/**
 * Reads a file from `offset` on. Reading and writing regular files is synchronous: the kernel does not let them wait on anybody
 * else, and only regular files are ever opened.
 */
export class FileSource extends ByteSource {
  readonly #file: OpenFile
  readonly #failure = new FailureOnce()
  #offset: bigint
  #open = true

  constructor(file: OpenFile, offset: bigint) {
    super()
    this.#file = file.hold()
    this.#offset = offset
  }

  override ready(): boolean {
    return true
  }

  override take(max: number): Uint8Array {
    this.#failure.check()
    if (!this.#open || this.#file.closed) throw closed
    try {
      const buffer = new Uint8Array(Math.min(max, pieceBytes))
      const count = readSync(this.#file.fd, buffer, 0, buffer.length, this.#offset)
      if (count === 0) throw closed
      this.#offset += BigInt(count)
      return buffer.subarray(0, count)
    } catch (error) {
      if (error === closed) throw error
      this.#failure.set(ioErrorOf(error))
      this.#failure.check()
      throw closed
    }
  }

  override close(): void {
    if (!this.#open) return
    this.#open = false
    this.#file.release()
  }
}

/** Writes a file from `offset` on, or at its end. */
export class FileSink extends ByteSink {
  readonly #file: OpenFile
  readonly #failure = new FailureOnce()
  #offset: number | null
  #open = true

  /** @param offset null for a file opened for appending */
  constructor(file: OpenFile, offset: number | null) {
    super()
    this.#file = file.hold()
    this.#offset = offset
  }

  override ready(): boolean {
    return true
  }

  override capacity(): number {
    this.#failure.check()
    if (!this.#open || this.#file.closed) throw closed
    return pieceBytes
  }

  override write(bytes: Uint8Array): void {
    this.capacity()
    try {
      for (let done = 0; done < bytes.length; ) {
        const count = writeSync(this.#file.fd, bytes, done, bytes.length - done, this.#offset)
        done += count
        if (this.#offset !== null) this.#offset += count
      }
    } catch (error) {
      this.#failure.set(ioErrorOf(error))
      this.#failure.check()
    }
  }

  override close(): void {
    if (!this.#open) return
    this.#open = false
    this.#file.release()
  }
}

function ioErrorOf(error: unknown): IoError {
  const filesystem = filesystemErrorOf(error)
  return new IoError(`file: ${filesystem}`, { filesystem })
}
