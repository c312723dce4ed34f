import { once } from 'node:events'
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request, read whole. `target` is the path and query as they were on the wire, which signatures cover. */
export type StandInRequest = {
  readonly method: string
  readonly target: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export type StandInResponse = { readonly status: number; readonly headers: OutgoingHttpHeaders; readonly body: string }

const maxBodyBytes = 1_000_000

/** A loopback HTTP server that answers one request at a time from memory; `url` has no trailing slash. */
export async function startHttpStandIn(
  answer: (request: StandInRequest) => Promise<StandInResponse>,
  { port = 0 }: { port?: number } = {},
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async (message, response) => {
    try {
      const { status, headers, body } = await answer(await readWhole(message))
      response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body)
    } catch (error) {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`stand-in failed: ${error}`)
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, close: () => closeServer(server) }
}

async function readWhole(message: IncomingMessage): Promise<StandInRequest> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBodyBytes) throw new Error('request body too large')
    chunks.push(chunk)
  }
  const { method = 'GET', url: target = '/', headers } = message
  return { method, target, headers, body: Buffer.concat(chunks) }
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
