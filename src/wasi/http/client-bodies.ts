import type { ClientRequest, IncomingMessage } from 'node:http'
import type { BodySink, BodySource } from '../http-exchange.ts'
import { HttpFailure } from './http-failure.ts'

/** The body of a response that node:http receives. */
export class ResponseBodySource implements BodySource {
  readonly #response: IncomingMessage
  readonly #betweenBytesMs: number
  #failure: Error | undefined

  constructor(response: IncomingMessage, betweenBytesMs: number) {
    this.#response = response
    this.#betweenBytesMs = betweenBytesMs
    response.on('error', (error) => {
      this.#failure ??= error
    })
  }

  read(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      const response = this.#response
      const stop = (): void => {
        clearTimeout(timer)
        response.off('readable', look)
        response.off('end', look)
        response.off('close', look)
      }
      const look = (): void => {
        const chunk: Uint8Array | null = response.read()
        if (chunk !== null) {
          stop()
          resolve(chunk)
        } else if (response.readableEnded) {
          stop()
          resolve(undefined)
        } else if (response.destroyed) {
          stop()
          reject(this.#incomplete())
        }
      }
      const timer = setTimeout(() => {
        stop()
        reject(new HttpFailure({ tag: 'connection-read-timeout' }))
        response.destroy()
      }, this.#betweenBytesMs)
      response.on('readable', look)
      response.on('end', look)
      response.on('close', look)
      look()
    })
  }

  trailers(): readonly (readonly [string, string])[] {
    return pairsOf(this.#response.rawTrailers)
  }

  cancel(): void {
    // All here already: read it off, and the connection can serve the next request.
    if (this.#response.complete) this.#response.resume()
    else this.#response.destroy()
  }

  #incomplete(): Error {
    return this.#failure instanceof HttpFailure ? this.#failure : new HttpFailure({ tag: 'HTTP-response-incomplete' })
  }
}

/** node's flat list of names and values, as pairs. */
export function pairsOf(raw: readonly string[]): (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]
    const value = raw[index + 1]
    if (name !== undefined && value !== undefined) pairs.push([name, value])
  }
  return pairs
}

/**
 * The body of a request that node:http sends. The head waits for the first bytes or the end, so that a request whose body is known whole goes
 * out with it; but only until the next turn of the event loop, since some servers answer before the body comes.
 */
export class RequestBodySink implements BodySink {
  readonly #request: ClientRequest
  readonly #chunked: boolean
  #ended = false

  constructor(request: ClientRequest, hasContentLength: boolean) {
    this.#request = request
    this.#chunked = !hasContentLength
    setImmediate(() => {
      if (this.#ended || request.destroyed) return
      this.#startHead()
      request.flushHeaders()
    })
  }

  writable(): number {
    if (this.#request.destroyed) return 0
    return Math.max(0, this.#request.writableHighWaterMark - this.#request.writableLength)
  }

  ready(): Promise<void> {
    return new Promise((resolve) => {
      const request = this.#request
      const look = (): void => {
        if (!request.destroyed && this.writable() === 0) return
        request.off('drain', look)
        request.off('close', look)
        resolve()
      }
      request.on('drain', look)
      request.on('close', look)
      look()
    })
  }

  write(chunk: Uint8Array): void {
    if (this.#request.destroyed) throw new HttpFailure({ tag: 'connection-terminated' })
    this.#startHead()
    this.#request.write(chunk)
  }

  end(trailers?: readonly (readonly [name: string, value: string])[]): void {
    if (this.#request.destroyed) throw new HttpFailure({ tag: 'connection-terminated' })
    this.#ended = true
    if (trailers !== undefined && trailers.length > 0 && this.#chunked) {
      this.#startHead()
      this.#request.addTrailers(trailers.map(([name, value]): [string, string] => [name, value]))
    }
    this.#request.end()
  }

  abort(reason: Error): void {
    this.#ended = true
    this.#request.destroy(reason)
  }

  /** Without a length a body must be chunked, also for methods for which node would not think of it. */
  #startHead(): void {
    if (this.#chunked && !this.#request.headersSent) this.#request.setHeader('transfer-encoding', 'chunked')
  }
}
