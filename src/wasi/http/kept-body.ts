import type { BodySink } from '../http-exchange.ts'
import type { HttpClient } from './http-client.ts'
import { HttpFailure } from './http-failure.ts'

/** Longest body that is kept until it is known whole, bytes. */
const maxBytes = 4 * 1024 * 1024
/** What a guest may write at a time. */
const windowBytes = 64 * 1024

/** A request's body, gathered until its end because its hash is part of the head. */
export class KeptBody implements BodySink {
  readonly whole: Promise<readonly Uint8Array[]>
  readonly #budget: Pick<HttpClient, 'keepBytes' | 'releaseBytes'>
  readonly #settled = Promise.withResolvers<readonly Uint8Array[]>()
  #chunks: Uint8Array[] = []
  #bytes = 0

  constructor(budget: Pick<HttpClient, 'keepBytes' | 'releaseBytes'>) {
    this.#budget = budget
    this.whole = this.#settled.promise
    this.whole.catch(() => {})
  }

  writable(): number {
    return windowBytes
  }

  async ready(): Promise<void> {}

  write(chunk: Uint8Array): void {
    try {
      if (this.#bytes + chunk.length > maxBytes) {
        throw new HttpFailure({ tag: 'HTTP-request-body-size', val: BigInt(maxBytes) })
      }
      this.#budget.keepBytes(chunk.length)
    } catch (error) {
      this.#settled.reject(error)
      throw error
    }
    this.#bytes += chunk.length
    this.#chunks.push(chunk)
  }

  end(trailers?: readonly (readonly [name: string, value: string])[]): void {
    // Nothing would vouch for them.
    if (trailers !== undefined && trailers.length > 0) this.abort(new HttpFailure({ tag: 'HTTP-protocol-error' }))
    else this.#settled.resolve(this.#chunks)
  }

  abort(reason: Error): void {
    this.#settled.reject(reason)
  }

  /** Idempotent. */
  release(): void {
    this.abort(new Error('the request was given up'))
    this.#budget.releaseBytes(this.#bytes)
    this.#bytes = 0
    this.#chunks = []
  }
}
