import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { HeraldError } from '../errors/herald-error.ts'

export type HealthOptions = {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Reasons why the process should be started anew; empty: none. */
  readonly failures: () => Promise<readonly string[]>
  /** Reasons why it should get no requests now; empty: none. */
  readonly unready: () => readonly string[]
  /** The answer to a scrape. */
  readonly metrics: () => Promise<string>
  readonly metricsContentType: string
}

/** Answers probes and scrapes, on a port of its own and without authentication: nothing secret is ever in an answer. */
export interface HealthServer extends AsyncDisposable {
  /** `http://127.0.0.1:8081` */
  readonly url: string
}

const maxConnections = 64

/** `GET /livez`, `/readyz` (200 or 503, `{"status", "reasons"}`) and `/metrics`. @throws ERR_HEALTH_LISTEN */
export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  // A scrape costs something: whoever asks meanwhile gets the same answer.
  let scrape: Promise<string> | undefined
  const pages: Readonly<Record<string, (response: ServerResponse) => Promise<void>>> = {
    '/livez': async (response) => answerReasons(response, 'live', await options.failures()),
    '/readyz': async (response) => answerReasons(response, 'ready', options.unready()),
    '/metrics': async (response) => {
      scrape ??= options.metrics().finally(() => {
        scrape = undefined
      })
      answer(response, 200, options.metricsContentType, await scrape)
    },
  }

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const page = pages[(request.url ?? '').split('?', 1)[0] ?? '']
    if (page === undefined) answer(response, 404, 'text/plain', 'try /livez, /readyz or /metrics\n')
    else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      answer(response, 405, 'text/plain', 'only GET\n')
    } else {
      // Whatever failed is told to those who run the host by its log, not to whoever can reach this port.
      page(response).catch(() => answer(response, 500, 'text/plain', 'see the log of the host\n'))
    }
  }

  const server = createServer({ maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 10_000 }, onRequest)
  server.maxConnections = maxConnections
  const { host, port } = options
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new HeraldError('ERR_HEALTH_LISTEN', `cannot listen for probes on ${host}:${port}: ${cause.code}`, {
          hint: 'choose another address with --health, or end the process that has it',
          cause,
        }),
      ),
    )
    server.listen({ host, port }, () => resolve())
  })
  server.on('error', () => {})
  const address = server.address()
  const listening = typeof address === 'object' && address !== null ? address.port : port
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return {
    url: `http://${shown.includes(':') ? `[${shown}]` : shown}:${listening}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

function answerReasons(response: ServerResponse, status: string, reasons: readonly string[]): void {
  const ok = reasons.length === 0
  const body = { status: ok ? status : `not ${status}`, reasons }
  answer(response, ok ? 200 : 503, 'application/json', `${JSON.stringify(body)}\n`)
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(body)
}
