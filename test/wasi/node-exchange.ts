import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pairsOf } from '../../src/wasi/http/client-bodies.ts'
import type { BodySink, BodySource, HttpExchange } from '../../src/wasi/http-exchange.ts'

/** A real server on loopback that ends with its test. */
export class LoopbackServer implements AsyncDisposable {
  readonly #server: Server
  readonly port: number

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  static async open(listener: (request: IncomingMessage, response: ServerResponse) => void): Promise<LoopbackServer> {
    const server = createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new LoopbackServer(server)
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** What an ingress does with node:http, at its plainest. */
export function exchangeOf(request: IncomingMessage, response: ServerResponse): HttpExchange {
  const abort = new AbortController()
  response.on('close', () => abort.abort())
  let responded = false
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined
  return {
    method: request.method ?? 'GET',
    scheme: 'http',
    authority: request.headers.host ?? '',
    pathWithQuery: request.url ?? '/',
    headers: pairsOf(request.rawHeaders).map(([name, value]) => [name.toLowerCase(), value]),
    body: hasBody ? bodySource(request) : undefined,
    signal: abort.signal,
    respond(status, headers) {
      if (responded) throw new Error('responded twice')
      responded = true
      response.writeHead(status, headers.flat())
      return bodySink(response)
    },
  }
}

function bodySource(request: IncomingMessage): BodySource {
  const chunks = request[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  return {
    async read() {
      const { value, done } = await chunks.next()
      return done === true ? undefined : value
    },
    trailers: () => pairsOf(request.rawTrailers),
    cancel: () => void request.resume(),
  }
}

function bodySink(response: ServerResponse): BodySink {
  return {
    writable: () => (response.destroyed ? 0 : Math.max(0, response.writableHighWaterMark - response.writableLength)),
    ready: () =>
      new Promise((resolve) => {
        const done = (): void => {
          response.off('drain', done).off('close', done)
          resolve()
        }
        if (response.destroyed || !response.writableNeedDrain) resolve()
        else response.on('drain', done).on('close', done)
      }),
    write(chunk) {
      if (response.destroyed) throw new Error('the client is gone')
      response.write(chunk)
    },
    end(trailers) {
      if (trailers !== undefined) response.addTrailers(trailers.map(([name, value]): [string, string] => [name, value]))
      response.end()
    },
    abort: () => void response.destroy(),
  }
}
