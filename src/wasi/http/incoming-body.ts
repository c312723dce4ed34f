import type { BodySource } from '../http-exchange.ts'
import type { InstanceState } from '../instance-state.ts'
import { ByteSource, FailureOnce, noBytes } from '../io/byte-source.ts'
import { InputStream } from '../io/input-stream.ts'
import { closed, IoError } from '../io/io-error.ts'
import { Pollable } from '../io/pollable.ts'
import { Waitable } from '../io/waitable.ts'
import { Fields } from './fields.ts'
import type { HttpErrorCode } from './http-error-code.ts'
import { mustBeDropped } from './stream-of-body.ts'

export type BodyRules = {
  readonly maxBytes: number
  /** Told to the guest when the body is larger. */
  readonly tooLarge: HttpErrorCode
  /** What a failure of the source means to the guest. */
  readonly errorCode: (cause: unknown) => HttpErrorCode
}

/** Reads ahead one chunk, and only when somebody has asked for it. */
export class IncomingBodySource extends ByteSource {
  readonly #body: BodySource | undefined
  readonly #rules: BodyRules
  readonly #failure = new FailureOnce()
  #chunk: Uint8Array = noBytes
  #received = 0
  #state: 'idle' | 'pulling' | 'ended'
  #discarding = false
  /** Why there was no end, for the trailers. */
  errorCode: HttpErrorCode | undefined

  constructor(body: BodySource | undefined, rules: BodyRules) {
    super()
    this.#body = body
    this.#rules = rules
    this.#state = body === undefined ? 'ended' : 'idle'
  }

  /** Nothing more will come, by success or failure. */
  get over(): boolean {
    return this.#state === 'ended' && this.#chunk.length === 0
  }

  override ready(): boolean {
    return this.#chunk.length > 0 || this.#state === 'ended'
  }

  override take(max: number): Uint8Array {
    const chunk = this.#chunk
    if (chunk.length > 0) {
      if (chunk.length <= max) {
        this.#chunk = noBytes
        return chunk
      }
      this.#chunk = chunk.subarray(max)
      return chunk.subarray(0, max)
    }
    if (this.#state === 'ended') {
      this.#failure.check()
      throw closed
    }
    this.#pull()
    return noBytes
  }

  /** Reads what is left only to get at the trailers. */
  discard(): void {
    this.#discarding = true
    this.#chunk = noBytes
    this.#pull()
  }

  trailers(): readonly (readonly [string, string])[] {
    return this.#body === undefined ? [] : this.#body.trailers()
  }

  /** The stream was dropped; the body itself may still be wanted for its trailers. */
  override close(): void {}

  cancel(): void {
    if (this.#state === 'ended') return
    this.#end(undefined)
    this.#body?.cancel()
  }

  protected override arm(): void {
    if (!this.ready()) this.#pull()
  }

  #pull(): void {
    if (this.#state !== 'idle' || this.#body === undefined) return
    this.#state = 'pulling'
    this.#body.read().then(
      (chunk) => this.#arrived(chunk),
      (cause) => {
        if (this.#state !== 'ended') this.#end(this.#rules.errorCode(cause))
      },
    )
  }

  #arrived(chunk: Uint8Array | undefined): void {
    if (this.#state === 'ended') return
    if (chunk === undefined) {
      this.#end(undefined)
      return
    }
    this.#state = 'idle'
    this.#received += chunk.length
    if (this.#received > this.#rules.maxBytes) {
      this.#end(this.#rules.tooLarge)
      this.#body?.cancel()
    } else if (chunk.length === 0 || this.#discarding) {
      this.#pull()
    } else {
      this.#chunk = chunk
      this.wake()
    }
  }

  #end(errorCode: HttpErrorCode | undefined): void {
    this.#state = 'ended'
    this.errorCode = errorCode
    if (errorCode !== undefined)
      this.#failure.set(new IoError(`the body broke off: ${errorCode.tag}`, { http: errorCode }))
    this.wake()
  }
}

/** `wasi:http/types#incoming-body`. */
export class IncomingBody {
  readonly #instance: InstanceState
  readonly #source: IncomingBodySource
  #stream: InputStream | undefined
  #finished = false

  constructor(instance: InstanceState, source: IncomingBodySource) {
    this.#instance = instance
    this.#source = source
  }

  /** Succeeds once. */
  stream(): InputStream {
    if (this.#stream !== undefined) throw undefined
    this.#stream = new InputStream(this.#instance, this.#source)
    return this.#stream
  }

  /** Traps while its stream is held. */
  static finish(body: IncomingBody): FutureTrailers {
    mustBeDropped(body.#stream)
    body.#finished = true
    return new FutureTrailers(body.#instance, body.#source)
  }

  [Symbol.dispose](): void {
    if (this.#finished) return
    mustBeDropped(this.#stream)
    this.#source.cancel()
  }
}

/** What is left of the body is read and thrown away as soon as somebody wants the trailers behind it. */
class EndOfBody extends Waitable {
  readonly #source: IncomingBodySource
  readonly #onChange = (): void => {
    if (this.#source.over) this.wake()
    else this.#source.discard()
  }

  constructor(source: IncomingBodySource) {
    super()
    this.#source = source
  }

  override ready(): boolean {
    return this.#source.over
  }

  protected override arm(): void {
    this.#source.discard()
    this.#source.listen(this.#onChange)
  }

  protected override disarm(): void {
    this.#source.unlisten(this.#onChange)
  }
}

type TrailersResult =
  | { readonly tag: 'ok'; readonly val: Fields | undefined }
  | { readonly tag: 'err'; readonly val: HttpErrorCode }

/** `wasi:http/types#future-trailers`. */
export class FutureTrailers {
  readonly #instance: InstanceState
  readonly #source: IncomingBodySource
  readonly #end: EndOfBody
  #taken = false

  constructor(instance: InstanceState, source: IncomingBodySource) {
    this.#instance = instance
    this.#source = source
    this.#end = new EndOfBody(source)
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this.#end)
  }

  get():
    | { readonly tag: 'ok'; readonly val: TrailersResult }
    | { readonly tag: 'err'; readonly val: undefined }
    | undefined {
    if (!this.#end.ready()) {
      this.#source.discard()
      return undefined
    }
    if (this.#taken) return { tag: 'err', val: undefined }
    this.#taken = true
    const { errorCode } = this.#source
    if (errorCode !== undefined) return { tag: 'ok', val: { tag: 'err', val: errorCode } }
    const pairs = this.#source.trailers()
    return { tag: 'ok', val: { tag: 'ok', val: pairs.length === 0 ? undefined : Fields.received(pairs) } }
  }

  [Symbol.dispose](): void {
    this.#source.cancel()
  }
}
