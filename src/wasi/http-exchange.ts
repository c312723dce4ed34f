/**
 * One HTTP request and its answer, independent of how they reached the cell (a message port from the ingress thread, or the
 * cell's own listener). The WASI room turns it into `wasi:http/types` resources.
 */
export interface HttpExchange {
  /** As on the wire: `GET`. */
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** The Host header, or the authority of an absolute-form target. */
  readonly authority: string
  /** Origin-form target: `/path?query`. */
  readonly pathWithQuery: string
  /** Names lowercase, in wire order; values latin-1 strings as node:http gives them. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Absent when the request has no body. */
  readonly body: BodySource | undefined
  /** Aborted when the client is gone or the request's deadline has passed. */
  readonly signal: AbortSignal
  /**
   * Sends the head, once. Informational (1xx) heads are not supported.
   * @throws Error on a second call.
   */
  respond(status: number, headers: readonly (readonly [name: string, value: string])[]): BodySink
}

export interface BodySource {
  /** The next chunk, `undefined` at the end. @throws when the client breaks off or the body exceeds its limit. */
  read(): Promise<Uint8Array | undefined>
  /** Trailers; only after `read` gave `undefined`. */
  trailers(): readonly (readonly [name: string, value: string])[]
  /** Stop reading; idempotent. */
  cancel(): void
}

export interface BodySink {
  /** Bytes the sink takes now without having to wait; 0 = wait for `ready`. */
  writable(): number
  /** Resolves once `writable()` is above 0, or the sink has failed. Always settles. */
  ready(): Promise<void>
  /** Takes ownership of `chunk`. Throws when the client is gone. */
  write(chunk: Uint8Array): void
  end(trailers?: readonly (readonly [name: string, value: string])[]): void
  /** Break off: the client must see an incomplete response, never a complete one. Idempotent. */
  abort(reason: Error): void
}
