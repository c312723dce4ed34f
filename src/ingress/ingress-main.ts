import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'
import { answerPlainly } from '../engine/plain-answer.ts'
import { readRequestHead } from '../engine/request-head.ts'
import { Tracer } from '../observability/tracer.ts'
import { Gate } from './gate.ts'
import type { FromIngressThread, IngressThreadOptions, ToIngressThread } from './ingress-protocol.ts'
import { RequestMeter } from './request-meter.ts'
import { traceRequest } from './request-tracer.ts'
import { RouteTable } from './route-table.ts'

/** Entry of an ingress thread. */
const port = parentPort!
const post = (message: FromIngressThread): void => port.postMessage(message)
const options = workerData as IngressThreadOptions
const routes = new RouteTable<Gate>()
const meter = new RequestMeter()
const tracer = options.sampling && new Tracer(options.sampling, (spans) => post({ kind: 'spans', spans }))
let ready = true
let closing = false

const server = createServer(
  { maxHeaderSize: options.maxHeaderBytes, keepAliveTimeout: options.keepAliveTimeoutMs },
  onRequest,
)
// A body that is refused by the head alone is not asked for.
server.on('checkContinue', onRequest)
server.maxConnections = options.maxConnections
server.on('error', (error: NodeJS.ErrnoException) =>
  post({ kind: 'failed', code: error.code ?? '', message: error.message }),
)
server.listen({ host: options.host, port: options.port, reusePort: options.reusePort, backlog: 4096 }, () => {
  const address = server.address()
  post({ kind: 'listening', port: typeof address === 'object' && address !== null ? address.port : options.port })
})

port.on('message', (message: ToIngressThread) => {
  switch (message.kind) {
    case 'route':
      return routes.add(message.id, message.hosts, new Gate(message.gate))
    case 'unroute':
      return routes.remove(message.id)?.close()
    case 'ready':
      ready = message.ready
      return
    case 'measure':
      return server.getConnections((_, connections) =>
        post({ kind: 'measured', id: message.id, reading: meter.read(connections) }),
      )
    case 'close':
      return close(message.drainTimeoutMs)
  }
})

function onRequest(request: IncomingMessage, response: ServerResponse): void {
  if (options.timed) meter.watch(request, response)
  if (closing) response.setHeader('connection', 'close')
  const head = readRequestHead(request)
  if (typeof head === 'string') {
    answerPlainly(response, { status: 400, code: 'ERR_INGRESS_BAD_REQUEST', reason: head, close: true })
    return
  }
  if (!ready) {
    answerPlainly(response, {
      status: 503,
      code: 'ERR_HOST_DRAINING',
      reason: 'the host takes no requests now',
      retryAfterS: 1,
      close: true,
    })
    return
  }
  const gate = routes.find(head.hostName)
  if (gate === undefined) {
    const reason = `no workload serves the host ${JSON.stringify(head.hostName.slice(0, 255))}`
    answerPlainly(response, { status: 404, code: 'ERR_INGRESS_NO_ROUTE', reason, close: head.hasBody })
  } else gate.forward(request, response, tracer === undefined ? head : traceRequest(tracer, request, response, head))
}

function close(drainTimeoutMs: number): void {
  closing = true
  // A connection whose last request began before is idle, and kept alive, when that has ended.
  const sweep = setInterval(() => server.closeIdleConnections(), 20)
  const cut = setTimeout(() => server.closeAllConnections(), drainTimeoutMs)
  server.close(() => {
    clearInterval(sweep)
    clearTimeout(cut)
    tracer?.flush()
    post({ kind: 'closed' })
  })
  server.closeIdleConnections()
}
