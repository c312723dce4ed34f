import { latin1 } from '../wasi/http/latin1.ts'
import type { BodySink, BodySource } from '../wasi/http-exchange.ts'
import { pairsOf } from './header-pairs.ts'
import {
  type FlatHeaders,
  Lane,
  type LaneParty,
  type LaneSender,
  type ToCell,
  type ToIngress,
  takeChunks,
  windowBytes,
} from './http-channel.ts'
import { BodyTooLargeError, type ServedExchange } from './served-exchange.ts'
import { shortBodyBytes } from './short-body.ts'

type Pairs = readonly (readonly [name: string, value: string])[]

/** The cell's end of one request that came over a lane. */
export class ChannelExchange implements ServedExchange, LaneParty<ToIngress>, BodySink {
  dirty = false
  onGone: ((reason: Error) => void) | undefined
  readonly id: number
  readonly #request: Extract<ToCell, readonly [typeof Lane.request, ...unknown[]]>
  readonly #sender: LaneSender<ToIngress>
  readonly #forget: (id: number) => void
  readonly #maxBodyBytes: number
  readonly #source: ChannelSource | undefined
  #controller: AbortController | undefined
  #gone: Error | undefined

  #head: { status: number; headers: FlatHeaders } | undefined
  #state: 'waiting' | 'responded' | 'ended' = 'waiting'
  #headSent = false
  #chunks: Uint8Array[] = []
  #trailers: FlatHeaders | undefined
  #failure: { status: number; code: string; reason: string } | undefined
  #credit = 0
  #unacknowledged = 0
  #written = 0
  #ready: PromiseWithResolvers<void> | undefined

  constructor(
    request: Extract<ToCell, readonly [typeof Lane.request, ...unknown[]]>,
    sender: LaneSender<ToIngress>,
    forget: (id: number) => void,
    maxBodyBytes: number,
  ) {
    this.id = request[1]
    this.#request = request
    this.#sender = sender
    this.#forget = forget
    this.#maxBodyBytes = maxBodyBytes
    const [, , , , , , , body, streaming] = request
    if (body !== undefined || streaming) {
      this.#source = new ChannelSource((bytes) => {
        this.#credit += bytes
        if (streaming) this.#sender.touch(this)
      })
      if (body !== undefined) this.#source.push(body)
      if (!streaming) this.#source.end(undefined)
    }
  }

  get method(): string {
    return this.#request[2]
  }
  get scheme(): 'http' | 'https' {
    return this.#request[3]
  }
  get authority(): string {
    return this.#request[4]
  }
  get pathWithQuery(): string {
    return this.#request[5]
  }
  get headers(): Pairs {
    return pairsOf(this.#request[6])
  }
  get body(): BodySource | undefined {
    return this.#source
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#gone !== undefined) this.#controller.abort(this.#gone)
    return this.#controller.signal
  }

  respond(status: number, headers: Pairs): BodySink {
    if (this.#head !== undefined) throw new Error('the response was sent already')
    this.#head = { status, headers: headers.flat() }
    if (this.#state === 'waiting') this.#state = 'responded'
    this.#sender.touch(this)
    return this
  }

  writable(): number {
    return this.#state === 'responded' ? Math.max(0, windowBytes - this.#unacknowledged) : 0
  }

  ready(): Promise<void> {
    if (this.#state !== 'responded' || this.writable() > 0) return Promise.resolve()
    this.#ready ??= Promise.withResolvers()
    return this.#ready.promise
  }

  write(chunk: Uint8Array): void {
    if (this.#state !== 'responded') throw this.#gone ?? new Error('the response is closed')
    this.#written += chunk.byteLength
    if (this.#written > this.#maxBodyBytes) {
      const error = new BodyTooLargeError(`the response body is larger than ${this.#maxBodyBytes} bytes`)
      this.abort(error)
      throw error
    }
    if (chunk.byteLength === 0) return
    this.#unacknowledged += chunk.byteLength
    this.#chunks.push(chunk)
    this.#sender.touch(this)
  }

  end(trailers?: Pairs): void {
    if (this.#state !== 'responded') return
    this.#state = 'ended'
    this.#trailers = trailers?.flat()
    this.#sender.touch(this)
    this.#wake()
    this.#forget(this.id)
  }

  abort(reason: Error): void {
    this.fail(500, 'ERR_COMPONENT_TRAP', reason.message)
  }

  fail(status: number, code: string, reason: string): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#failure = { status, code, reason }
    this.#chunks.length = 0
    if (this.#gone === undefined) this.#sender.touch(this)
    this.#wake()
    this.#source?.fail(new Error(reason))
    this.#forget(this.id)
  }

  collect(out: ToIngress[], transfer: ArrayBuffer[]): void {
    const { id } = this
    if (this.#credit > 0) {
      out.push([Lane.credit, id, this.#credit])
      this.#credit = 0
    }
    if (this.#failure !== undefined) {
      const { status, code, reason } = this.#failure
      out.push(this.#headSent ? [Lane.reset, id, reason] : [Lane.fail, id, status, code, reason])
      return
    }
    const ended = this.#state === 'ended'
    if (
      ended &&
      !this.#headSent &&
      this.#head !== undefined &&
      this.#chunks.length === 1 &&
      this.#written <= shortBodyBytes
    ) {
      this.#headSent = true
      const { status, headers } = this.#head
      out.push([Lane.head, id, status, headers, latin1(this.#chunks[0]!), true, this.#trailers])
      return
    }
    const chunk = takeChunks(this.#chunks, transfer)
    if (this.#head !== undefined && !this.#headSent) {
      this.#headSent = true
      const { status, headers } = this.#head
      out.push([Lane.head, id, status, headers, chunk, ended, ended ? this.#trailers : undefined])
    } else {
      if (chunk !== undefined) out.push([Lane.data, id, chunk])
      if (ended) out.push([Lane.end, id, this.#trailers])
    }
  }

  /** What the ingress says about this exchange after its head. */
  receive(message: ToCell): void {
    switch (message[0]) {
      case Lane.data:
        this.#source?.push(message[2])
        return
      case Lane.end:
        this.#source?.end(message[2])
        return
      case Lane.credit:
        this.#unacknowledged -= message[2]
        if (this.#unacknowledged < windowBytes) this.#wake()
        return
      case Lane.abort: {
        const reason = new Error(message[2])
        this.#gone = reason
        this.#source?.fail(reason)
        this.fail(500, 'ERR_COMPONENT_TRAP', message[2])
        this.#controller?.abort(reason)
        this.onGone?.(reason)
        return
      }
      default:
    }
  }

  #wake(): void {
    this.#ready?.resolve()
    this.#ready = undefined
  }
}

/** A request body arriving in pieces. */
class ChannelSource implements BodySource {
  readonly #onTaken: (bytes: number) => void
  #chunks: Uint8Array[] = []
  #state: 'open' | 'ended' | { failed: Error } = 'open'
  #trailers: FlatHeaders = []
  #waiting: PromiseWithResolvers<Uint8Array | undefined> | undefined
  #cancelled = false

  constructor(onTaken: (bytes: number) => void) {
    this.#onTaken = onTaken
  }

  push(chunk: Uint8Array): void {
    if (this.#state !== 'open') return
    if (this.#cancelled) this.#onTaken(chunk.byteLength)
    else if (this.#waiting !== undefined) this.#settle(() => chunk)
    else this.#chunks.push(chunk)
  }

  end(trailers: FlatHeaders | undefined): void {
    if (this.#state !== 'open') return
    this.#state = 'ended'
    this.#trailers = trailers ?? []
    this.#settle(() => undefined)
  }

  fail(error: Error): void {
    if (this.#state !== 'open') return
    this.#state = { failed: error }
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }

  async read(): Promise<Uint8Array | undefined> {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      this.#onTaken(chunk.byteLength)
      return chunk
    }
    if (this.#cancelled || this.#state === 'ended') return undefined
    if (this.#state !== 'open') throw this.#state.failed
    this.#waiting ??= Promise.withResolvers()
    return this.#waiting.promise
  }

  trailers(): Pairs {
    return pairsOf(this.#trailers)
  }

  cancel(): void {
    if (this.#cancelled) return
    this.#cancelled = true
    for (const chunk of this.#chunks.splice(0)) this.#onTaken(chunk.byteLength)
    this.#settle(() => undefined)
  }

  #settle(value: () => Uint8Array | undefined): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    const chunk = value()
    if (chunk !== undefined) this.#onTaken(chunk.byteLength)
    waiting.resolve(chunk)
  }
}
