import type { BodySink, BodySource } from '../wasi/http-exchange.ts'
import { pairsOf, withLowercaseNames } from './header-pairs.ts'
import type { HttpConnection } from './http-connection.ts'
import type { PlainAnswer } from './plain-answer.ts'
import type { RequestHead } from './request-head.ts'
import type { ParsedRequest } from './request-parser.ts'
import type { HeaderPairs } from './response-head.ts'
import { BodyTooLargeError, type ServedExchange } from './served-exchange.ts'
import { type Watch, WatchedTransaction } from './watched-transaction.ts'

export type DirectRules = Watch & {
  readonly maxBodyBytes: number
  /** Why no request is taken now. */
  refusal(): string | undefined
  serve(exchange: DirectExchange): void
}

/** A request's body that waits for the guest; the client is held back above. */
const bufferedBytes = 64 * 1024

/** One request that the cell's own listener took: nothing between the connection and the guest. */
export class DirectExchange extends WatchedTransaction implements ServedExchange, BodySink {
  onGone: ((reason: Error) => void) | undefined
  readonly scheme = 'http'
  readonly #rules: DirectRules
  readonly #source: ReceivedBody | undefined
  #controller: AbortController | undefined
  #gone: Error | undefined
  #written = 0

  constructor(connection: HttpConnection, request: ParsedRequest, rules: DirectRules) {
    super(connection, request, rules)
    this.#rules = rules
    if (this.head?.hasBody) this.#source = new ReceivedBody(rules.maxBodyBytes, () => connection.updateReading())
  }

  protected override refusal({ contentLength = 0 }: RequestHead): PlainAnswer | undefined {
    const { maxBodyBytes } = this.#rules
    const stopping = this.#rules.refusal()
    if (stopping !== undefined)
      return { status: 503, code: 'ERR_CELL_ENDED', reason: stopping, retryAfterS: 1, close: true }
    if (contentLength <= maxBodyBytes) return undefined
    const reason = `the request body is larger than ${maxBodyBytes} bytes`
    return { status: 413, code: 'ERR_INGRESS_BODY_TOO_LARGE', reason, close: true }
  }

  protected override proceed({ expectsContinue }: RequestHead): void {
    if (expectsContinue) this.continue()
    this.#rules.serve(this)
  }

  get authority(): string {
    return this.head?.authority ?? ''
  }
  get pathWithQuery(): string {
    return this.head?.pathWithQuery ?? '/'
  }
  get headers(): HeaderPairs {
    return pairsOf(this.head?.headers ?? [])
  }
  get body(): BodySource | undefined {
    return this.#source
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#gone !== undefined) this.#controller.abort(this.#gone)
    return this.#controller.signal
  }

  override get full(): boolean {
    return !this.ended && this.#source !== undefined && this.#source.full
  }
  override onChunk(chunk: Uint8Array): void {
    this.#source?.push(chunk)
  }
  override onReceived(trailers: readonly string[]): void {
    this.#source?.end(trailers)
  }
  protected override onLost(reason: Error): void {
    this.#gone = reason
    this.#source?.fail(reason)
    this.#controller?.abort(reason)
    this.onGone?.(reason)
  }

  respond(status: number, headers: HeaderPairs): BodySink {
    if (this.status !== 0) throw new Error('the response was sent already')
    this.begin(status, headers)
    return this
  }

  writable(): number {
    return this.room
  }

  ready(): Promise<void> {
    return this.untilRoom()
  }

  write(chunk: Uint8Array): void {
    if (this.ended) throw this.#gone ?? new Error('the response is closed')
    this.#written += chunk.byteLength
    if (this.#written > this.#rules.maxBodyBytes) {
      const error = new BodyTooLargeError(`the response body is larger than ${this.#rules.maxBodyBytes} bytes`)
      this.abort(error)
      throw error
    }
    if (chunk.byteLength > 0) this.add(chunk)
  }

  end(trailers?: HeaderPairs): void {
    this.finish(trailers)
  }

  abort(reason: Error): void {
    this.fail(500, 'ERR_COMPONENT_TRAP', reason.message)
  }

  fail(status: number, code: string, reason: string): void {
    if (this.ended) return
    this.#source?.fail(new Error(reason))
    this.answer({ status, code, reason, retryAfterS: status === 503 ? 1 : undefined, close: !this.received })
  }
}

/** A request's body as it comes, until the guest takes it. */
class ReceivedBody implements BodySource {
  readonly #maxBodyBytes: number
  readonly #onTaken: () => void
  #chunks: Uint8Array[] = []
  #buffered = 0
  #received = 0
  #trailers: readonly string[] = []
  #ended = false
  #failed: Error | undefined
  #cancelled = false
  #waiting: PromiseWithResolvers<Uint8Array | undefined> | undefined

  constructor(maxBodyBytes: number, onTaken: () => void) {
    this.#maxBodyBytes = maxBodyBytes
    this.#onTaken = onTaken
  }

  /** The client is to wait. */
  get full(): boolean {
    return this.#cancelled || this.#buffered >= bufferedBytes
  }

  push(chunk: Uint8Array): void {
    if (this.#cancelled || this.#failed !== undefined) return
    this.#received += chunk.byteLength
    if (this.#received > this.#maxBodyBytes) {
      this.fail(new BodyTooLargeError(`the request body is larger than ${this.#maxBodyBytes} bytes`))
      return
    }
    const waiting = this.#waiting
    if (waiting === undefined) {
      this.#chunks.push(chunk)
      this.#buffered += chunk.byteLength
      return
    }
    this.#waiting = undefined
    waiting.resolve(chunk)
  }

  end(trailers: readonly string[]): void {
    this.#ended = true
    this.#trailers = trailers
    this.#waiting?.resolve(undefined)
    this.#waiting = undefined
  }

  fail(error: Error): void {
    this.#failed ??= error
    this.#waiting?.reject(this.#failed)
    this.#waiting = undefined
  }

  read(): Promise<Uint8Array | undefined> {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      this.#buffered -= chunk.byteLength
      this.#onTaken()
      return Promise.resolve(chunk)
    }
    if (this.#failed !== undefined) return Promise.reject(this.#failed)
    if (this.#ended || this.#cancelled) return Promise.resolve(undefined)
    this.#waiting ??= Promise.withResolvers()
    return this.#waiting.promise
  }

  trailers(): HeaderPairs {
    return pairsOf(withLowercaseNames(this.#trailers))
  }

  cancel(): void {
    this.#cancelled = true
    this.#chunks.length = 0
    this.#buffered = 0
    this.#onTaken()
    this.#waiting?.resolve(undefined)
    this.#waiting = undefined
  }
}
