import { beginServerSpan, endServerSpan, type ServerSpan } from '../observability/server-span.ts'
import type { Tracer } from '../observability/tracer.ts'
import type { BodySink, BodySource } from '../wasi/http-exchange.ts'
import type { HttpConnection } from './http-connection.ts'
import { HttpTransaction } from './http-transaction.ts'
import type { ListenerMeter } from './listener-meter.ts'
import type { PlainAnswer } from './plain-answer.ts'
import type { RequestHead } from './request-head.ts'
import { readRequestHead } from './request-head.ts'
import type { ParsedRequest } from './request-parser.ts'
import type { HeaderPairs } from './response-head.ts'
import { BodyTooLargeError, type ServedExchange } from './served-exchange.ts'

export type DirectRules = {
  readonly maxBodyBytes: number
  /** Why no request is taken now. */
  refusal(): string | undefined
  serve(exchange: DirectExchange): void
  /** Absent: requests are not timed. */
  readonly meter?: ListenerMeter | undefined
  /** Absent: no spans are made. */
  readonly tracer?: Tracer | undefined
}

/** A request's body that waits for the guest; the client is held back above. */
const bufferedBytes = 64 * 1024

/** One request that the cell's own listener took: nothing between the connection and the guest. */
export class DirectExchange extends HttpTransaction implements ServedExchange, BodySink {
  onGone: ((reason: Error) => void) | undefined
  readonly scheme = 'http'
  readonly #rules: DirectRules
  #head: RequestHead | undefined
  #source: ReceivedBody | undefined
  #controller: AbortController | undefined
  #gone: Error | undefined
  #refusal: PlainAnswer | undefined
  #written = 0
  #startMs: number | undefined
  #span: ServerSpan | undefined

  constructor(connection: HttpConnection, request: ParsedRequest, rules: DirectRules) {
    super(connection, request)
    this.#rules = rules
    const head = readRequestHead(this)
    if (typeof head === 'string') this.#refusal = { status: 400, code: 'ERR_INGRESS_BAD_REQUEST', reason: head }
    else {
      this.#head = head
      if (head.hasBody) this.#source = new ReceivedBody(rules.maxBodyBytes, () => connection.updateReading())
    }
  }

  override start(): void {
    const { maxBodyBytes, meter, tracer } = this.#rules
    if (meter !== undefined) {
      this.#startMs = performance.now()
      meter.begin()
    }
    const stopping = this.#rules.refusal()
    const { contentLength = 0, expectsContinue = false } = this.#head ?? {}
    if (stopping !== undefined)
      this.#refusal ??= { status: 503, code: 'ERR_CELL_ENDED', reason: stopping, retryAfterS: 1 }
    else if (this.method === 'CONNECT')
      this.#refusal ??= { status: 400, code: 'ERR_INGRESS_BAD_REQUEST', reason: 'CONNECT is not served' }
    else if (contentLength > maxBodyBytes) {
      const reason = `the request body is larger than ${maxBodyBytes} bytes`
      this.#refusal ??= { status: 413, code: 'ERR_INGRESS_BODY_TOO_LARGE', reason }
    }
    if (this.#refusal !== undefined) {
      this.answer({ ...this.#refusal, close: true })
      return
    }
    if (tracer !== undefined) this.#trace(tracer)
    if (expectsContinue) this.continue()
    this.#rules.serve(this)
  }

  #trace(tracer: Tracer): void {
    const head = this.#head!
    const { fields, span } = beginServerSpan(tracer, this.method, head.headers)
    this.#head = { ...head, headers: fields }
    this.#span = span
  }

  get authority(): string {
    return this.#head?.authority ?? ''
  }
  get pathWithQuery(): string {
    return this.#head?.pathWithQuery ?? '/'
  }
  get headers(): HeaderPairs {
    return pairsOf(this.#head?.headers ?? [])
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

  protected override onDone(status: number): void {
    if (this.#startMs !== undefined) this.#rules.meter?.record(this.method, status, performance.now() - this.#startMs)
    if (this.#span !== undefined) endServerSpan(this.#span, this.method, this.#head?.hostName ?? '', status)
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
    return pairsOf(this.#trailers.map((text, index) => (index % 2 ? text : text.toLowerCase())))
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

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < flat.length; index += 2) pairs.push([flat[index]!, flat[index + 1]!])
  return pairs
}
