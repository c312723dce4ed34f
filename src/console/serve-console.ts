import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HeraldError } from '../errors/herald-error.ts'
import { consolePage, pageHeaders } from './console-page.ts'
import { createFleetWatch, type FleetUpdate, type FleetWatchOptions } from './fleet-watch.ts'
import { isLoopback, refusalOf } from './request-guard.ts'

export type ConsoleOptions = Omit<FleetWatchOptions, 'intervalMs'> & {
  /** An address; names are resolved. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number }
  /** Names it is reached by, beside addresses and `localhost`. */
  readonly hostNames?: readonly string[]
  /** Default 2,000. */
  readonly intervalMs?: number
}

export interface Console extends AsyncDisposable {
  readonly url: string
  /** Whether only this machine reaches it. */
  readonly loopback: boolean
}

const maxStreams = 32

/**
 * Serves the page at `/`, what it shows as JSON at `/api/fleet`, and as server-sent events (WHATWG HTML, section 9.2) at `/api/events`. Nothing can be changed
 * through it; nobody is asked who they are. @throws ERR_CONSOLE_LISTEN
 */
export async function serveConsole(options: ConsoleOptions): Promise<Console> {
  const { listen, hostNames = [], intervalMs = 2_000 } = options
  const watch = createFleetWatch({ ...options, intervalMs })
  let loopback = false
  let streams = 0

  const server = createServer({ maxHeaderSize: 16_384, requestTimeout: 10_000 }, (request, response) => {
    for (const [name, value] of Object.entries(pageHeaders)) response.setHeader(name, value)
    const refusal = refusalOf(request, { loopback, hostNames })
    if (refusal !== undefined) return plain(response, refusal.status, refusal.reason)
    if (request.url === '/') return send(response, 200, 'text/html; charset=utf-8', consolePage)
    if (request.url === '/api/fleet') return void answerOnce(response)
    if (request.url === '/api/events') {
      if (request.method === 'HEAD') return send(response, 200, 'text/event-stream', '')
      return stream(response)
    }
    plain(response, 404, 'there is nothing here')
  })

  async function answerOnce(response: ServerResponse): Promise<void> {
    const update = await watch.now()
    if ('view' in update) send(response, 200, 'application/json', JSON.stringify(update.view))
    else send(response, 502, 'application/json', JSON.stringify(update))
  }

  function stream(response: ServerResponse): void {
    if (streams >= maxStreams) {
      plain(response, 503, 'too many pages watch already; close one')
      return
    }
    streams += 1
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    const subscription = watch.subscribe((update) => {
      // A page that does not keep up misses what is old by then.
      if (!response.writableNeedDrain) response.write(eventOf(update))
    })
    response.on('close', () => {
      streams -= 1
      subscription[Symbol.dispose]()
    })
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new HeraldError('ERR_CONSOLE_LISTEN', `${listen.host}:${listen.port} cannot be listened on`, {
          cause: error,
          hint: 'another program may have it; choose another one with --listen, or 127.0.0.1:0 for any free one',
        }),
      ),
    )
    server.listen(listen.port, listen.host, resolve)
  })
  const { address, port, family } = server.address() as AddressInfo
  loopback = isLoopback(address)
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/`,
    loopback,
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]()
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/** JSON has no line break outside of strings, and none inside: one `data` line. */
function eventOf(update: FleetUpdate): string {
  return 'view' in update
    ? `event: fleet\ndata: ${JSON.stringify(update.view)}\n\n`
    : `event: trouble\ndata: ${JSON.stringify(update)}\n\n`
}

function plain(response: ServerResponse, status: number, text: string): void {
  if (status === 405) response.setHeader('allow', 'GET, HEAD')
  send(response, status, 'text/plain; charset=utf-8', `${text}\n`)
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
}
