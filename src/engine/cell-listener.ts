import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { CellComponent } from './cell-component.ts'
import type { HttpListenOptions } from './engine.ts'
import { NodeExchange } from './node-exchange.ts'
import { Outbox } from './outbox.ts'
import { answerPlainly } from './plain-answer.ts'
import { readRequestHead } from './request-head.ts'

/** HTTP in the cell's own thread: one component owns the port, every host name is its own. */
export function listenInCell(
  component: CellComponent,
  options: HttpListenOptions,
  draining: () => boolean,
): Promise<Server> {
  const { maxBodyBytes } = component.init.limits
  const outbox = new Outbox()
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const head = readRequestHead(request)
    if (typeof head === 'string') {
      answerPlainly(response, { status: 400, code: 'ERR_INGRESS_BAD_REQUEST', reason: head, close: true })
    } else if (draining()) {
      const reason = 'the workload is stopping'
      answerPlainly(response, { status: 503, code: 'ERR_CELL_ENDED', reason, retryAfterS: 1, close: true })
    } else if ((head.contentLength ?? 0) > maxBodyBytes) {
      const reason = `the request body is larger than ${maxBodyBytes} bytes`
      answerPlainly(response, { status: 413, code: 'ERR_INGRESS_BODY_TOO_LARGE', reason, close: true })
    } else {
      if (head.expectsContinue) response.writeContinue()
      void component.serve(new NodeExchange(request, response, head, maxBodyBytes, outbox))
    }
  }
  const server = createServer(
    { maxHeaderSize: options.maxHeaderBytes, keepAliveTimeout: options.keepAliveTimeoutMs },
    onRequest,
  )
  // A body that is refused by the head alone is not asked for.
  server.on('checkContinue', onRequest)
  server.maxConnections = options.maxConnections
  const { promise, resolve, reject } = Promise.withResolvers<Server>()
  server.once('error', reject)
  server.listen({ host: options.host, port: options.port, reusePort: true, backlog: 4096 }, () => resolve(server))
  return promise
}
