import type { BodySink } from '../http-exchange.ts'
import type { InstanceState } from '../instance-state.ts'
import { ByteSink } from '../io/byte-sink.ts'
import { FailureOnce } from '../io/byte-source.ts'
import { closed, IoError } from '../io/io-error.ts'
import { OutputStream } from '../io/output-stream.ts'
import { permittedTrailers } from './field-rules.ts'
import type { Fields } from './fields.ts'
import type { HttpErrorCode } from './http-error-code.ts'
import { mustBeDropped } from './stream-of-body.ts'

/** What a guest may write before there is anybody to send it to. */
const unattachedBytes = 64 * 1024

export type OutgoingBodyRules = {
  readonly maxBytes: number
  /** `HTTP-request-body-size` or `HTTP-response-body-size`. */
  readonly sizeTag: 'HTTP-request-body-size' | 'HTTP-response-body-size'
  readonly errorCode: (cause: unknown) => HttpErrorCode
}

/**
 * The bytes of an outgoing body on their way: kept (up to 64 KiB) until the message they belong to is sent, then handed to its
 * sink as fast as that takes them. Counts them against Content-Length and the largest size.
 */
export class OutgoingBodySink extends ByteSink {
  readonly #rules: OutgoingBodyRules
  readonly #declaredLength: number | undefined
  readonly #failure = new FailureOnce()
  #target: BodySink | undefined
  #kept: Uint8Array[] | undefined
  #keptBytes = 0
  #written = 0
  /** No body may follow (HEAD, 204, 304): bytes are counted and dropped, and Content-Length says what would have come. */
  #bodyless = false
  #end: { readonly trailers: Fields | undefined } | undefined
  #streamClosed = false
  #waiting = false
  #settled: ((error: Error | undefined) => void) | undefined

  constructor(declaredLength: number | undefined, rules: OutgoingBodyRules) {
    super()
    this.#declaredLength = declaredLength
    this.#rules = rules
  }

  /** The message goes out. @param settled called once, when the body has ended or has broken off */
  attach(target: BodySink, bodyless: boolean, settled: (error: Error | undefined) => void): void {
    this.#target = target
    this.#bodyless = bodyless
    this.#settled = settled
    if (this.#failure.failed) {
      this.#breakOff(new Error('the body was broken off before the message was sent'))
      return
    }
    const kept = this.#kept
    this.#kept = undefined
    this.#keptBytes = 0
    if (kept !== undefined) for (const chunk of kept) this.#hand(chunk)
    if (this.#end !== undefined && !this.#failure.failed) this.#finishTarget()
    this.wake()
    // Who has waited since before there was a target waits for the target from now on.
    if (this.isAwaited) this.arm()
  }

  /** All of it, when it has ended before anybody was to be sent it, without trailers: then nothing need be attached. */
  takeWhole(): readonly Uint8Array[] | undefined {
    if (this.#target !== undefined || this.#failure.failed || this.#end === undefined) return undefined
    if (this.#end.trailers !== undefined && this.#end.trailers.pairs().length > 0) return undefined
    if (this.#declaredLength !== undefined && this.#written !== this.#declaredLength) return undefined
    return this.#kept ?? []
  }

  override ready(): boolean {
    return this.#failure.failed || this.#streamClosed || this.#room() > 0
  }

  override capacity(): number {
    this.#failure.check()
    if (this.#streamClosed) throw closed
    return this.#room()
  }

  override write(bytes: Uint8Array): void {
    this.#failure.check()
    if (this.#streamClosed) throw closed
    this.#written += bytes.length
    const limit = this.#bodyless
      ? this.#rules.maxBytes
      : Math.min(this.#declaredLength ?? Number.POSITIVE_INFINITY, this.#rules.maxBytes)
    if (this.#written > limit) {
      this.fail({ tag: this.#rules.sizeTag, val: BigInt(this.#written) })
      this.#failure.check()
    }
    if (this.#target !== undefined) {
      this.#hand(bytes)
      this.#failure.check()
    } else {
      this.#kept ??= []
      this.#kept.push(bytes)
      this.#keptBytes += bytes.length
    }
  }

  override close(): void {
    this.#streamClosed = true
  }

  /** The guest says that all is written. @returns the error when it is not what was announced */
  finish(trailers: Fields | undefined): HttpErrorCode | undefined {
    if (this.#end !== undefined || this.#failure.failed) return { tag: 'HTTP-protocol-error' }
    this.#streamClosed = true
    if (this.#declaredLength !== undefined && this.#written !== this.#declaredLength && !this.#mayBeShorter()) {
      const error: HttpErrorCode = { tag: this.#rules.sizeTag, val: BigInt(this.#written) }
      this.fail(error)
      return error
    }
    this.#end = { trailers }
    if (this.#target !== undefined) this.#finishTarget()
    return undefined
  }

  /** The receiver must see an incomplete message. */
  fail(code: HttpErrorCode): void {
    this.#failure.set(new IoError(`the body was broken off: ${code.tag}`, { http: code }))
    this.#breakOff(new Error(`the body was broken off: ${code.tag}`))
    this.wake()
  }

  /** Nobody will finish it any more; does nothing to a finished one. */
  abandon(reason: string): void {
    if (this.#end !== undefined || this.#failure.failed) return
    this.#failure.set(new IoError(reason, { http: { tag: 'internal-error', val: reason } }))
    this.#breakOff(new Error(reason))
    this.wake()
  }

  protected override arm(): void {
    const target = this.#target
    if (target === undefined || this.#waiting || this.ready()) return
    this.#waiting = true
    target.ready().then(() => {
      this.#waiting = false
      if (this.#room() === 0 && !this.#failure.failed) this.fail({ tag: 'connection-terminated' })
      else this.wake()
    })
  }

  #room(): number {
    if (this.#target === undefined) return unattachedBytes - this.#keptBytes
    return this.#bodyless ? unattachedBytes : this.#target.writable()
  }

  #mayBeShorter(): boolean {
    return this.#written === 0 && (this.#bodyless || this.#target === undefined)
  }

  #hand(bytes: Uint8Array): void {
    if (this.#bodyless || this.#failure.failed) return
    try {
      this.#target?.write(bytes)
    } catch (cause) {
      this.fail(this.#rules.errorCode(cause))
    }
  }

  #finishTarget(): void {
    if (this.#declaredLength !== undefined && this.#written !== this.#declaredLength && !this.#bodyless) {
      this.fail({ tag: this.#rules.sizeTag, val: BigInt(this.#written) })
      return
    }
    try {
      const trailers = this.#end?.trailers
      this.#target?.end(trailers === undefined ? undefined : permittedTrailers(trailers.pairs()))
      this.#settle(undefined)
    } catch (cause) {
      this.fail(this.#rules.errorCode(cause))
    }
  }

  #breakOff(reason: Error): void {
    this.#target?.abort(reason)
    this.#settle(reason)
  }

  #settle(error: Error | undefined): void {
    const settled = this.#settled
    if (settled === undefined) return
    this.#settled = undefined
    settled(error)
  }
}

/** `wasi:http/types#outgoing-body`. */
export class OutgoingBody {
  readonly #instance: InstanceState
  readonly #sink: OutgoingBodySink
  #stream: OutputStream | undefined
  #finished = false

  constructor(instance: InstanceState, sink: OutgoingBodySink) {
    this.#instance = instance
    this.#sink = sink
  }

  /** Succeeds once. */
  write(): OutputStream {
    if (this.#stream !== undefined) throw undefined
    this.#stream = new OutputStream(this.#instance, this.#sink)
    return this.#stream
  }

  /** @throws HttpErrorCode; a trap while its stream is held */
  static finish(body: OutgoingBody, trailers: Fields | undefined): void {
    mustBeDropped(body.#stream)
    body.#finished = true
    const error = body.#sink.finish(trailers)
    if (error !== undefined) throw error
  }

  [Symbol.dispose](): void {
    if (this.#finished) return
    mustBeDropped(this.#stream)
    this.#sink.abandon('the guest dropped the body without finishing it')
  }
}
