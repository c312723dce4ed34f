import { latin1 } from '../wasi/http/latin1.ts'
import type { HttpConnection } from './http-connection.ts'
import { type PlainAnswer, plainAnswer } from './plain-answer.ts'
import type { ParsedRequest } from './request-parser.ts'
import { type HeaderPairs, responseHead, trailerLines } from './response-head.ts'
import { shortBodyBytes } from './short-body.ts'

/** Response bytes that may wait for a slow client before the component is held back. */
export const windowBytes = 256 * 1024
/** Chunks of one turn of the event loop go out as one, but none longer than about this. */
const joinedBytes = 64 * 1024

/**
 * One request of a connection and its response. What is said in one turn of the event loop goes out at its end: a response that is complete
 * by then gets a Content-Length and is one write; from any other the head and what there is.
 */
export abstract class HttpTransaction {
  readonly method: string
  readonly url: string
  readonly httpVersionMinor: number
  readonly rawHeaders: readonly string[]
  readonly #connection: HttpConnection
  readonly #keepAlive: boolean
  /** All of the request has come. */
  received = false
  #state: 'waiting' | 'held' | 'streaming' | 'complete' | 'sent' = 'waiting'
  #status = 0
  #headers: HeaderPairs = []
  #trailers: HeaderPairs | undefined
  /** A string is latin-1. */
  #chunks: (Uint8Array | string)[] = []
  #queued = 0
  /** Bytes that its Content-Length still promises; `undefined`: it has none. */
  #promised: number | undefined
  #chunked = false
  /** Its head was sent. */
  #streamed = false
  #close = false
  #ready: PromiseWithResolvers<void> | undefined

  constructor(connection: HttpConnection, request: ParsedRequest) {
    this.#connection = connection
    this.method = request.method
    this.url = request.url
    this.httpVersionMinor = request.httpVersionMinor
    this.rawHeaders = request.rawHeaders
    this.#keepAlive = request.keepAlive
  }

  /** Its turn on the connection has come. */
  abstract start(): void
  /** A piece of the request's body. */
  abstract onChunk(chunk: Uint8Array): void
  abstract onReceived(trailers: readonly string[]): void
  /** The client is gone before the response was complete. */
  protected abstract onLost(reason: Error): void
  /** Nothing more happens with it. @param status of the response, also of one that was broken off; 499: none had begun */
  protected onDone(_status: number): void {}
  /** The client is to send no more of the body for now. */
  abstract get full(): boolean

  /** The head is on its way; the status of the response, or 0. */
  get status(): number {
    return this.#status
  }
  /** No more is to be said. */
  get ended(): boolean {
    return this.#state === 'complete' || this.#state === 'sent'
  }
  /** All of it has been given to the socket. */
  get sent(): boolean {
    return this.#state === 'sent'
  }
  /** Some of it has been given to the socket. */
  get begun(): boolean {
    return this.#streamed || this.#state === 'sent'
  }
  /** The connection ends with it. */
  get close(): boolean {
    return this.#close
  }
  get #bodyless(): boolean {
    return this.method === 'HEAD' || this.#status === 204 || this.#status === 304
  }

  /** The client may have waited for it before it sends its body (RFC 9110 §10.1.1). */
  protected continue(): void {
    this.#connection.text('HTTP/1.1 100 Continue\r\n\r\n')
    this.#connection.flushLater()
  }

  protected begin(status: number, headers: HeaderPairs): void {
    this.#status = status
    if (this.#state !== 'waiting') return
    this.#headers = headers
    this.#state = 'held'
    this.#connection.flushLater()
  }

  protected get room(): number {
    if (this.#state === 'held') return Math.max(0, windowBytes - this.#queued)
    if (this.#state !== 'streaming') return 0
    return Math.max(0, windowBytes - this.unsent)
  }

  /** Bytes that were added and wait for the client to take them. */
  protected get unsent(): number {
    return this.#queued + this.#connection.unsent
  }

  /** Resolves once there is room, or there will be none. */
  protected untilRoom(): Promise<void> {
    if (this.#state === 'held' || this.#queued > 0) this.#connection.flush()
    if (this.#state !== 'streaming' || this.room > 0) return Promise.resolve()
    this.#ready ??= Promise.withResolvers()
    return this.#ready.promise
  }

  /** @param chunk a string is latin-1 */
  protected add(chunk: Uint8Array | string): void {
    if (this.#state !== 'held' && this.#state !== 'streaming') return
    this.#chunks.push(chunk)
    this.#queued += chunk.length
    if (this.#state === 'streaming') {
      if (this.#queued >= joinedBytes) this.#connection.flush()
      else this.#connection.flushLater()
    }
  }

  protected finish(trailers: HeaderPairs | undefined): void {
    if (this.#state === 'held' && trailers !== undefined) this.#connection.flush()
    if (this.#state === 'held') {
      this.#state = 'complete'
      return
    }
    if (this.#state !== 'streaming') return
    this.#trailers = trailers
    this.#state = 'complete'
    this.#connection.flushLater()
  }

  /** An answer of the host itself; a response already begun is broken off. */
  protected answer(answer: PlainAnswer): void {
    if (this.#state === 'sent') return
    if (this.#streamed) {
      this.breakOff()
      return
    }
    const { headers, body } = plainAnswer(answer)
    this.#trailers = undefined
    this.#close ||= answer.close ?? false
    this.#status = answer.status
    this.#headers = headers
    this.#chunks = [Buffer.from(body)]
    this.#queued = 0
    this.#state = 'complete'
    this.#connection.flushLater()
    this.#wake()
  }

  /** The client must see that the response is not complete. */
  protected breakOff(): void {
    this.#chunks = []
    this.#wake()
    this.#done()
    this.#connection.breakOff(this.#promised === undefined && !this.#chunked)
  }

  /** The connection is lost. */
  lost(reason: Error): void {
    if (this.#state === 'sent') return
    const { ended } = this
    this.#chunks = []
    this.#wake()
    this.#done()
    if (!ended) this.onLost(reason)
  }

  /** Gives the connection what there is to send. */
  flush(): void {
    switch (this.#state) {
      case 'held':
        if (this.#begin(undefined)) this.#sendChunks()
        return
      case 'streaming':
        this.#sendChunks()
        return
      case 'complete':
        if (this.#streamed) this.#sendEnd()
        else this.#sendWhole()
        return
      default:
    }
  }

  drained(): void {
    if (this.#ready !== undefined && this.room > 0) this.#wake()
  }

  #begin(length: number | undefined): boolean {
    const bodyless = this.#bodyless
    const head = responseHead(
      this.#status,
      this.#headers,
      {
        length: bodyless ? undefined : length,
        bodyless,
        chunks: this.httpVersionMinor === 1,
        keepAlive: this.#keepAlive && !this.#close ? this.#connection.keepAlive : undefined,
      },
      this.#connection.date,
    )
    if (typeof head === 'string') return this.#refuse(head)
    if (length !== undefined && !bodyless && head.contentLength !== length)
      return this.#refuse('its Content-Length is not the length of its body')
    this.#close = head.close
    this.#chunked = head.chunked
    this.#connection.text(head.text)
    if (length === undefined) {
      this.#streamed = true
      this.#state = 'streaming'
      this.#promised = bodyless ? undefined : head.contentLength
    }
    return true
  }

  #sendWhole(): void {
    const [first, ...more] = this.#chunks
    const body = more.length === 0 ? first : Buffer.concat(this.#chunks.map(bytesOf))
    this.#chunks = []
    if (!this.#begin(body?.length ?? 0)) return
    this.#streamed = true
    this.#done()
    if (body === undefined || body.length === 0 || this.#bodyless) return
    if (typeof body === 'string') this.#connection.text(body)
    else if (body.length <= shortBodyBytes) this.#connection.text(latin1(body))
    else this.#connection.bytes(body)
  }

  #sendChunks(): void {
    const chunks = this.#chunks
    if (chunks.length === 0) return
    const bytes = this.#queued
    this.#chunks = []
    this.#queued = 0
    if (this.#promised !== undefined) {
      this.#promised -= bytes
      if (this.#promised < 0) {
        this.onBroken('the body is longer than its Content-Length')
        this.breakOff()
        return
      }
    }
    if (this.#bodyless) return
    if (this.#chunked) this.#connection.text(`${bytes.toString(16)}\r\n`)
    for (const chunk of chunks) this.#connection.bytes(bytesOf(chunk))
    if (this.#chunked) this.#connection.text('\r\n')
  }

  #sendEnd(): void {
    this.#sendChunks()
    if (this.#state === 'sent') return
    if (this.#promised !== undefined && this.#promised !== 0) {
      this.onBroken('the body is shorter than its Content-Length')
      this.breakOff()
      return
    }
    const trailers = this.#trailers === undefined || !this.#chunked ? '' : trailerLines(this.#trailers)
    if (trailers === undefined) {
      this.breakOff()
      return
    }
    if (this.#chunked) this.#connection.text(`0\r\n${trailers}\r\n`)
    this.#done()
    this.#wake()
  }

  /** A defect of the response was found only when it was sent. */
  protected onBroken(_reason: string): void {}

  #refuse(reason: string): false {
    this.#chunks = []
    this.#queued = 0
    this.#state = 'waiting'
    this.answer({
      status: 502,
      code: 'ERR_INGRESS_RESPONSE_INVALID',
      reason: `the component's response was refused: ${reason}`,
      close: !this.received,
    })
    this.onBroken(reason)
    this.flush()
    return false
  }

  #done(): void {
    if (this.#state === 'sent') return
    this.#state = 'sent'
    this.onDone(this.#streamed ? this.#status : 499)
  }

  #wake(): void {
    this.#ready?.resolve()
    this.#ready = undefined
  }
}

function bytesOf(chunk: Uint8Array | string): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk
}
