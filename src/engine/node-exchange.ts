import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BodySink, BodySource } from '../wasi/http-exchange.ts'
import type { Outbox } from './outbox.ts'
import { answerPlainly } from './plain-answer.ts'
import type { RequestHead } from './request-head.ts'
import { responseHeaders } from './response-headers.ts'
import { BodyTooLargeError, type ServedExchange } from './served-exchange.ts'

type Pairs = readonly (readonly [name: string, value: string])[]

/** Response bytes that may wait for a slow client before the guest is held back. */
const windowBytes = 256 * 1024

/** One request that the cell's own listener accepted: node:http on the guest's thread, nothing in between. */
export class NodeExchange implements ServedExchange, BodySink {
  onGone: ((reason: Error) => void) | undefined
  readonly scheme = 'http'
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #head: RequestHead
  readonly #maxBodyBytes: number
  readonly #outbox: Outbox
  readonly #source: RequestBody | undefined
  #controller: AbortController | undefined
  #gone: Error | undefined
  #state: 'waiting' | 'held' | 'streaming' | 'ended' = 'waiting'
  #status = 0
  #fields: string[] = []
  /** Body bytes held back while the response may still turn out to be complete. */
  #held: Uint8Array[] = []
  #written = 0
  #promised: number | undefined
  #ready: PromiseWithResolvers<void> | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    maxBodyBytes: number,
    outbox: Outbox,
  ) {
    this.#outbox = outbox
    this.#request = request
    this.#response = response
    this.#head = head
    this.#maxBodyBytes = maxBodyBytes
    if (head.hasBody) this.#source = new RequestBody(request, maxBodyBytes)
    response.on('error', () => {})
    response.on('close', () => {
      if (this.#state !== 'ended') this.#lost(new Error('the client is gone'))
    })
  }

  get method(): string {
    return this.#request.method ?? 'GET'
  }
  get authority(): string {
    return this.#head.authority
  }
  get pathWithQuery(): string {
    return this.#head.pathWithQuery
  }
  get headers(): Pairs {
    return pairsOf(this.#head.headers)
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
    if (this.#status !== 0) throw new Error('the response was sent already')
    this.#status = status
    this.#fields = headers.flat()
    if (this.#state === 'waiting') this.#state = 'held'
    // A guest that ends its response in the same run gets a Content-Length and one packet.
    queueMicrotask(() => this.#stream())
    return this
  }

  writable(): number {
    if (this.#state === 'held') return Math.max(0, windowBytes - this.#written)
    if (this.#state !== 'streaming') return 0
    return this.#response.writableNeedDrain ? 0 : Math.max(0, windowBytes - this.#response.writableLength)
  }

  ready(): Promise<void> {
    if (this.#state === 'held') this.#stream()
    if (this.#state !== 'streaming' || this.writable() > 0) return Promise.resolve()
    if (this.#ready === undefined) {
      this.#ready = Promise.withResolvers()
      this.#response.once('drain', () => this.#wake())
    }
    return this.#ready.promise
  }

  write(chunk: Uint8Array): void {
    if (this.#state !== 'held' && this.#state !== 'streaming') throw this.#gone ?? new Error('the response is closed')
    this.#written += chunk.byteLength
    if (this.#written > this.#maxBodyBytes) {
      const error = new BodyTooLargeError(`the response body is larger than ${this.#maxBodyBytes} bytes`)
      this.abort(error)
      throw error
    }
    if (chunk.byteLength === 0) return
    if (this.#state === 'held') this.#held.push(chunk)
    else this.#send(chunk)
  }

  end(trailers?: Pairs): void {
    if (this.#state === 'held') {
      if (trailers === undefined && this.#held.length <= 1) {
        this.#sendComplete(this.#held[0])
        return
      }
      this.#stream()
    }
    if (this.#state !== 'streaming') return
    if (this.#promised !== undefined && this.#promised !== 0) {
      this.abort(new Error('the body is shorter than its Content-Length'))
      return
    }
    this.#state = 'ended'
    this.#wake()
    if (trailers !== undefined && this.#promised === undefined) {
      try {
        this.#response.addTrailers(trailers.map(([name, value]) => [name, value] as [string, string]))
      } catch {
        this.#response.destroy()
        return
      }
    }
    this.#response.end()
    this.#source?.leave()
  }

  abort(reason: Error): void {
    this.fail(500, 'ERR_COMPONENT_TRAP', reason.message)
  }

  fail(status: number, code: string, reason: string): void {
    if (this.#state === 'ended') return
    const begun = this.#state === 'streaming'
    this.#state = 'ended'
    this.#held.length = 0
    this.#wake()
    this.#source?.fail(new Error(reason))
    if (this.#gone !== undefined) return
    if (begun) this.#response.destroy()
    else
      answerPlainly(this.#response, {
        status,
        code,
        reason,
        retryAfterS: status === 503 ? 1 : undefined,
        close: this.#source?.open ?? false,
      })
  }

  get #bodyless(): boolean {
    return this.#request.method === 'HEAD' || this.#status === 204 || this.#status === 304
  }

  #sendComplete(body: Uint8Array | undefined): void {
    const length = body?.byteLength ?? 0
    const checked = responseHeaders(this.#fields, this.#bodyless ? undefined : length)
    if (typeof checked === 'string') {
      this.#refuse(checked)
      return
    }
    if (!this.#bodyless && checked.contentLength !== length) {
      this.#refuse('its Content-Length is not the length of its body')
      return
    }
    try {
      this.#response.writeHead(this.#status, checked.headers)
    } catch {
      this.#refuse('its status or headers are not valid HTTP')
      return
    }
    this.#state = 'ended'
    this.#outbox.push(this.#response, this.#bodyless ? undefined : body)
    this.#source?.leave()
  }

  /** The response is not complete yet: send its head and what is there, and the rest as it comes. */
  #stream(): void {
    if (this.#state !== 'held') return
    const checked = responseHeaders(this.#fields, undefined)
    if (typeof checked === 'string') {
      this.#refuse(checked)
      return
    }
    try {
      this.#response.writeHead(this.#status, checked.headers)
    } catch {
      this.#refuse('its status or headers are not valid HTTP')
      return
    }
    this.#state = 'streaming'
    this.#promised = this.#bodyless ? undefined : checked.contentLength
    const held = this.#held
    this.#held = []
    if (held.length === 0) this.#response.flushHeaders()
    for (const chunk of held) this.#send(chunk)
  }

  #send(chunk: Uint8Array): void {
    if (this.#state !== 'streaming') return
    if (this.#promised !== undefined) {
      this.#promised -= chunk.byteLength
      if (this.#promised < 0) {
        this.abort(new Error('the body is longer than its Content-Length'))
        return
      }
    }
    if (!this.#bodyless) this.#response.write(chunk)
  }

  #refuse(reason: string): void {
    this.fail(502, 'ERR_INGRESS_RESPONSE_INVALID', `the component's response was refused: ${reason}`)
  }

  #lost(reason: Error): void {
    this.#gone = reason
    this.fail(500, 'ERR_COMPONENT_TRAP', reason.message)
    this.#controller?.abort(reason)
    this.onGone?.(reason)
  }

  #wake(): void {
    this.#ready?.resolve()
    this.#ready = undefined
  }
}

/** A request's body as the guest pulls it: nothing is read from the client before the guest asks. */
class RequestBody implements BodySource {
  readonly #request: IncomingMessage
  readonly #maxBodyBytes: number
  #received = 0
  #failed: Error | undefined
  #ended = false
  #waiting: PromiseWithResolvers<Uint8Array | undefined> | undefined
  #left = false

  constructor(request: IncomingMessage, maxBodyBytes: number) {
    this.#request = request
    this.#maxBodyBytes = maxBodyBytes
    request.on('readable', () => this.#deliver())
    request.on('end', () => {
      this.#ended = true
      this.#deliver()
    })
    request.on('error', () => this.fail(new Error('the client broke off its request')))
  }

  get open(): boolean {
    return !this.#ended
  }

  read(): Promise<Uint8Array | undefined> {
    this.#waiting ??= Promise.withResolvers()
    const { promise } = this.#waiting
    this.#deliver()
    return promise
  }

  trailers(): Pairs {
    return pairsOf(this.#request.rawTrailers.map((text, index) => (index % 2 ? text : text.toLowerCase())))
  }

  cancel(): void {
    this.#left = true
    this.#deliver()
  }

  fail(error: Error): void {
    this.#failed ??= error
    this.#deliver()
  }

  /** The response is complete: a little more of the body is read, so that the client sees the answer, then the connection is cut. */
  leave(): void {
    if (this.#ended) return
    let left = windowBytes
    this.#request.removeAllListeners('readable')
    this.#request.on('data', (chunk: Uint8Array) => {
      left -= chunk.byteLength
      if (left < 0) this.#request.destroy()
    })
    this.#request.resume()
  }

  #deliver(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    if (this.#failed !== undefined) waiting.reject(this.#failed)
    else if (this.#left) waiting.resolve(undefined)
    else {
      const chunk: Buffer | null = this.#request.read()
      if (chunk !== null) {
        this.#received += chunk.byteLength
        if (this.#received > this.#maxBodyBytes) {
          this.#failed = new BodyTooLargeError(`the request body is larger than ${this.#maxBodyBytes} bytes`)
          waiting.reject(this.#failed)
        } else waiting.resolve(chunk)
      } else if (this.#ended) waiting.resolve(undefined)
      else return
    }
    this.#waiting = undefined
  }
}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < flat.length; index += 2) pairs.push([flat[index]!, flat[index + 1]!])
  return pairs
}
