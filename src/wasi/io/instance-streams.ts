import type { InstanceStreams } from '../../capabilities/capability.ts'
import type { InstanceState } from '../instance-state.ts'
import { ByteSink } from './byte-sink.ts'
import { ByteSource } from './byte-source.ts'
import { InputStream } from './input-stream.ts'
import { closed, IoError, lastOperationFailed } from './io-error.ts'
import { OutputStream } from './output-stream.ts'

/** Streams that capabilities give to the guest of one instance. */
export function instanceStreams(state: InstanceState): InstanceStreams {
  return {
    input: (bytes) => new InputStream(state, new HeldBytes(bytes)),
    output: (sink) => new OutputStream(state, new SinkOfCapability(sink)),
  }
}

/** Bytes that are there already. */
class HeldBytes extends ByteSource {
  #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    super()
    this.#bytes = bytes
  }

  override ready(): boolean {
    return true
  }

  override take(max: number): Uint8Array {
    if (this.#bytes.length === 0) throw closed
    const taken = this.#bytes.subarray(0, max)
    this.#bytes = this.#bytes.subarray(taken.length)
    return taken
  }

  override close(): void {
    this.#bytes = new Uint8Array(0)
  }
}

/** Takes at once whatever it is given. */
class SinkOfCapability extends ByteSink {
  readonly #sink: Parameters<InstanceStreams['output']>[0]
  #closed = false

  constructor(sink: Parameters<InstanceStreams['output']>[0]) {
    super()
    this.#sink = sink
  }

  override ready(): boolean {
    return true
  }

  override capacity(): number {
    if (this.#closed) throw closed
    return 1 << 20
  }

  override write(bytes: Uint8Array): void {
    try {
      this.#sink.write(bytes)
    } catch (error) {
      this.#closed = true
      throw lastOperationFailed(new IoError(error instanceof Error ? error.message : 'the stream failed'))
    }
  }

  override close(): void {
    this.#closed = true
    this.#sink.close()
  }
}
