import type { InstanceStreams, PulledBytes } from '../../capabilities/capability.ts'
import type { InstanceState } from '../instance-state.ts'
import { ByteSink } from './byte-sink.ts'
import { ByteSource, FailureOnce, noBytes } from './byte-source.ts'
import { InputStream } from './input-stream.ts'
import { closed, IoError } from './io-error.ts'
import { OutputStream } from './output-stream.ts'

/** Streams that capabilities give to the guest of one instance. */
export function instanceStreams(state: InstanceState): InstanceStreams {
  return {
    input: (source) =>
      new InputStream(state, source instanceof Uint8Array ? new HeldBytes(source) : new SourceOfCapability(source)),
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
    this.#bytes = noBytes
  }
}

/** Bytes that come a piece at a time: the next one is asked for when the guest begins with the one that is there. */
class SourceOfCapability extends ByteSource {
  readonly #source: PulledBytes
  readonly #failure = new FailureOnce()
  #held: Uint8Array = noBytes
  #next: Uint8Array = noBytes
  #pulling = false
  #ended = false

  constructor(source: PulledBytes) {
    super()
    this.#source = source
    this.#pull()
  }

  override ready(): boolean {
    return this.#held.length > 0 || this.#next.length > 0 || this.#ended || this.#failure.failed
  }

  override take(max: number): Uint8Array {
    if (this.#held.length === 0) {
      this.#held = this.#next
      this.#next = noBytes
      this.#pull()
    }
    if (this.#held.length === 0) {
      this.#failure.check()
      if (this.#ended) throw closed
      return noBytes
    }
    const taken = this.#held.subarray(0, max)
    this.#held = this.#held.subarray(taken.length)
    return taken
  }

  #pull(): void {
    if (this.#pulling || this.#ended || this.#failure.failed || this.#next.length > 0) return
    this.#pulling = true
    this.#source
      .read()
      .then(
        (bytes) => {
          if (bytes === undefined) this.#ended = true
          else if (!this.#ended) this.#next = bytes
        },
        (error: unknown) => this.#failure.set(toIoError(error)),
      )
      .finally(() => {
        this.#pulling = false
        // A piece may be empty.
        if (!this.ready()) this.#pull()
        else this.wake()
      })
  }

  override close(): void {
    this.#ended = true
    this.#held = noBytes
    this.#next = noBytes
    this.#source.close()
  }
}

/** Takes whatever it is given, and nothing more until the capability has taken that. */
class SinkOfCapability extends ByteSink {
  readonly #sink: Parameters<InstanceStreams['output']>[0]
  readonly #failure = new FailureOnce()
  #busy = false
  #closed = false

  constructor(sink: Parameters<InstanceStreams['output']>[0]) {
    super()
    this.#sink = sink
  }

  override ready(): boolean {
    return !this.#busy
  }

  override capacity(): number {
    this.#failure.check()
    if (this.#closed) throw closed
    return this.#busy ? 0 : 1 << 18
  }

  override write(bytes: Uint8Array): void {
    try {
      this.#taken(this.#sink.write(bytes))
    } catch (error) {
      this.#failure.set(toIoError(error))
      this.#failure.check()
    }
  }

  #taken(taken: Promise<void> | undefined): void {
    if (taken === undefined) return
    this.#busy = true
    taken
      .catch((error: unknown) => this.#failure.set(toIoError(error)))
      .finally(() => {
        this.#busy = false
        this.wake()
      })
  }

  override close(): void {
    this.#closed = true
    this.#sink.close()
  }
}

function toIoError(error: unknown): IoError {
  return new IoError(error instanceof Error && error.message !== '' ? error.message : 'the stream failed')
}
