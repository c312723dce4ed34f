import type { Duplex } from 'node:stream'
import { DefaultDeserializer, DefaultSerializer } from 'node:v8'

const headerBytes = 4
const largestHeader = 0xffff_ffff

export type FrameStreamOptions = {
  /** Longest frame that is taken. Default: what four bytes can say. */
  readonly maxFrameBytes?: number
  /** `value` may refer to `buffer`, which is its own. */
  onFrame(value: unknown, buffer: ArrayBuffer): void
  /** Once: the other side closed, or broke the rules, for which `reason` says how. */
  onEnd(reason: string | undefined): void
}

/** Values that structured clone knows, over a byte stream: each in a frame of its length, 32 bits little endian, and V8's serialisation. */
export class FrameStream {
  readonly #socket: Duplex
  readonly #options: FrameStreamOptions
  readonly #header = Buffer.alloc(headerBytes)
  #headerRead = 0
  #frame: Buffer | undefined
  #frameRead = 0
  #corked = false
  #ended = false

  constructor(socket: Duplex, options: FrameStreamOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    // What fails also closes.
    socket.on('error', () => {})
    socket.on('close', () => this.#end(undefined))
    socket.on('end', () => this.#end(undefined))
  }

  /** All frames of one turn of the event loop go out together. */
  send(value: unknown): void {
    if (this.#ended) return
    const body = serialize(value)
    const header = Buffer.allocUnsafe(headerBytes)
    header.writeUInt32LE(body.byteLength)
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      setImmediate(() => {
        this.#corked = false
        this.#socket.uncork()
      })
    }
    this.#socket.write(header)
    this.#socket.write(body)
  }

  /** What was sent goes out; then the stream ends. */
  close(): void {
    this.#socket.end()
  }

  #take(chunk: Buffer): void {
    let at = 0
    while (at < chunk.byteLength && !this.#ended) {
      if (this.#frame === undefined) {
        const taken = chunk.copy(this.#header, this.#headerRead, at, at + headerBytes - this.#headerRead)
        at += taken
        this.#headerRead += taken
        if (this.#headerRead < headerBytes) return
        const length = this.#header.readUInt32LE()
        const { maxFrameBytes = largestHeader } = this.#options
        if (length === 0 || length > maxFrameBytes) {
          this.#end(`it sent a message of ${length} bytes; at most ${maxFrameBytes} are taken`)
          return
        }
        // Of its own, so that the buffer can move on to another thread.
        this.#frame = Buffer.from(new ArrayBuffer(length))
        this.#frameRead = 0
        this.#headerRead = 0
      }
      const taken = chunk.copy(this.#frame, this.#frameRead, at)
      at += taken
      this.#frameRead += taken
      if (this.#frameRead < this.#frame.byteLength) return
      const frame = this.#frame
      this.#frame = undefined
      this.#deliver(frame)
    }
  }

  #deliver(frame: Buffer): void {
    let value: unknown
    try {
      value = deserialize(frame)
    } catch {
      this.#end('it sent what cannot be read')
      return
    }
    this.#options.onFrame(value, frame.buffer as ArrayBuffer)
  }

  #end(reason: string | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#frame = undefined
    this.#options.onEnd(reason)
  }
}

function serialize(value: unknown): Buffer {
  const serializer = new DefaultSerializer()
  serializer.writeHeader()
  serializer.writeValue(value)
  return serializer.releaseBuffer()
}

function deserialize(bytes: Buffer): unknown {
  const deserializer = new DefaultDeserializer(bytes)
  deserializer.readHeader()
  return deserializer.readValue()
}
