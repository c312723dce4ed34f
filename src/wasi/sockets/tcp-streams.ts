import type { Socket } from 'node:net'
import { ByteSink } from '../io/byte-sink.ts'
import { ByteSource, FailureOnce, noBytes } from '../io/byte-source.ts'
import { closed, IoError } from '../io/io-error.ts'
import { networkErrorOf } from './network-error-code.ts'

/** What a connection receives. */
export class TcpSource extends ByteSource {
  readonly #socket: Socket
  readonly #failure = new FailureOnce()
  readonly #onClose: () => void
  #open = true

  constructor(socket: Socket, onClose: () => void) {
    super()
    this.#socket = socket
    this.#onClose = onClose
    const look = (): void => this.wake()
    socket.on('readable', look).on('end', look).on('close', look)
    socket.on('error', (error) => this.#failure.set(ioErrorOf(error)))
  }

  override ready(): boolean {
    const socket = this.#socket
    return !this.#open || socket.readableLength > 0 || socket.readableEnded || socket.destroyed
  }

  override take(max: number): Uint8Array {
    if (!this.#open) throw closed
    const socket = this.#socket
    const available = socket.readableLength
    // Without an argument it also notices the end.
    const chunk: Uint8Array | null = available > max ? socket.read(max) : socket.read()
    if (chunk !== null) return chunk
    if (!socket.readableEnded && !socket.destroyed) return noBytes
    this.#failure.check()
    throw closed
  }

  /** No more is read, as `shutdown` asks. */
  stop(): void {
    this.#open = false
    this.wake()
  }

  override close(): void {
    this.#open = false
    this.#onClose()
  }
}

/** What a connection sends. */
export class TcpSink extends ByteSink {
  readonly #socket: Socket
  readonly #failure = new FailureOnce()
  readonly #onClose: () => void
  #open = true

  constructor(socket: Socket, onClose: () => void) {
    super()
    this.#socket = socket
    this.#onClose = onClose
    const look = (): void => this.wake()
    socket.on('drain', look).on('close', look)
    socket.on('error', (error) => this.#failure.set(ioErrorOf(error)))
  }

  override ready(): boolean {
    return !this.#writable() || this.#room() > 0
  }

  override capacity(): number {
    this.#check()
    return this.#room()
  }

  override flushed(): boolean {
    this.#check()
    return this.#socket.writableLength < this.#socket.writableHighWaterMark
  }

  override write(bytes: Uint8Array): void {
    this.#check()
    this.#socket.write(bytes)
  }

  /** Says that no more will come, as `shutdown` and dropping the stream do. */
  override close(): void {
    if (!this.#open) return
    this.#open = false
    this.#socket.end()
    this.#onClose()
    this.wake()
  }

  #room(): number {
    return Math.max(0, this.#socket.writableHighWaterMark - this.#socket.writableLength)
  }

  #writable(): boolean {
    return this.#open && this.#socket.writable
  }

  #check(): void {
    if (this.#writable()) return
    this.#failure.check()
    throw closed
  }
}

function ioErrorOf(error: Error): IoError {
  const network = networkErrorOf(error)
  return new IoError(`connection: ${network}`, { network })
}
