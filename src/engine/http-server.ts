import { createServer, type Server } from 'node:net'
import { HttpConnection } from './http-connection.ts'
import type { HttpTransaction } from './http-transaction.ts'
import type { ParsedRequest } from './request-parser.ts'

export type HttpServerOptions = {
  readonly host: string
  readonly port: number
  readonly reusePort: boolean
  readonly maxHeaderBytes: number
  readonly maxConnections: number
  /** Between two requests, and for a client that does not take the last answer. */
  readonly keepAliveTimeoutMs: number
  /** For a request's head, from its first byte on. */
  readonly headTimeoutMs: number
  /** For a whole request. */
  readonly bodyTimeoutMs: number
  /** How long a client may take to close a connection that was ended. */
  readonly lingerMs: number
}

/** How patient a listener of the house is. */
export const usualPatience = { headTimeoutMs: 60_000, bodyTimeoutMs: 300_000, lingerMs: 1_000 } as const

const checkMs = 1000
/** How long an idle connection is kept when the server closes, for a request that is on its way. */
const graceMs = 50

/**
 * HTTP/1.1 on a port, for those to whom node:http's streams and message objects cost too much: node's parser, sockets, and one object for each
 * request. Timeouts are kept to the second.
 */
export class HttpServer {
  readonly options: HttpServerOptions
  /** Makes the transaction of a request; it is started when its turn comes. */
  readonly accept: (connection: HttpConnection, request: ParsedRequest) => HttpTransaction
  /** Header lines that say how long a connection is kept, and the empty line. */
  readonly keepAlive: string
  /** To the second, while there are connections. */
  nowMs = 0
  /** These bytes of a response have left: nobody reads them any more, unless whoever gave them does. */
  readonly onSent: ((bytes: Uint8Array) => void) | undefined
  readonly #server: Server
  readonly #connections = new Set<HttpConnection>()
  #timer: NodeJS.Timeout | undefined
  #date = ''
  #dateS = 0
  #closing = false
  #toFlush: HttpConnection[] = []
  /**
   * All answers of one turn of the event loop at its end: a client that waits is woken by the first and is still awake for the others. Under
   * load that wake-up is a large part of a small answer's cost.
   */
  readonly #flush = (): void => {
    const connections = this.#toFlush
    this.#toFlush = []
    for (const connection of connections) connection.flush()
  }

  constructor(
    options: HttpServerOptions,
    accept: (connection: HttpConnection, request: ParsedRequest) => HttpTransaction,
    onSent?: (bytes: Uint8Array) => void,
  ) {
    this.options = options
    this.onSent = onSent
    this.accept = accept
    this.keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(options.keepAliveTimeoutMs / 1000)}\r\n\r\n`
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#tick()
      const connection = new HttpConnection(this, socket)
      this.#connections.add(connection)
      if (this.#closing) connection.finish()
    })
    this.#server.maxConnections = options.maxConnections
  }

  /** @throws what `listen` of node:net fails with */
  listen(): Promise<void> {
    const { host, port, reusePort } = this.options
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Later ones are connections that could not be accepted: their clients are told by the system.
    this.#server.on('error', reject)
    this.#server.listen({ host, port, reusePort, backlog: 4096 }, resolve)
    return promise
  }

  /** The real one, also when 0 was asked for. */
  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : this.options.port
  }

  get connections(): number {
    return this.#connections.size
  }

  /** The line of the Date field. */
  get date(): string {
    const nowS = Math.floor(Date.now() / 1000)
    if (nowS !== this.#dateS) {
      this.#dateS = nowS
      this.#date = `Date: ${new Date(nowS * 1000).toUTCString()}\r\n`
    }
    return this.#date
  }

  flushLater(connection: HttpConnection): void {
    if (this.#toFlush.push(connection) === 1) setImmediate(this.#flush)
  }

  forget(connection: HttpConnection): void {
    this.#connections.delete(connection)
    if (this.#connections.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Takes no more connections; those that there are end with the requests in progress. Resolves once all have ended. */
  close(): Promise<void> {
    this.#closing = true
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    for (const connection of this.#connections) connection.finish()
    const endIdle = (): void => {
      for (const connection of this.#connections) connection.endIdle()
    }
    // What its client has sent before it could know is still answered: also what comes to be read only once the time is over.
    setTimeout(() => setImmediate(endIdle), graceMs)
    return promise
  }

  closeAllConnections(): void {
    for (const connection of this.#connections) connection.cut()
  }

  #tick(): void {
    if (this.#timer !== undefined) return
    this.nowMs = performance.now()
    this.#timer = setInterval(() => {
      this.nowMs = performance.now()
      for (const connection of this.#connections) connection.checkTime(this.nowMs)
    }, checkMs)
    this.#timer.unref()
  }
}
