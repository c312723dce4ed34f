import { parentPort, workerData } from 'node:worker_threads'
import { HttpServer, usualPatience } from '../engine/http-server.ts'
import { Tracer } from '../observability/tracer.ts'
import { Gate } from './gate.ts'
import type { FromIngressThread, IngressThreadOptions, ToIngressThread } from './ingress-protocol.ts'
import { type IngressRules, LaneRequest } from './lane-request.ts'
import { RequestMeter } from './request-meter.ts'
import { RouteTable } from './route-table.ts'

/** Entry of an ingress thread. */
const port = parentPort!
const post = (message: FromIngressThread): void => port.postMessage(message)
const options = workerData as IngressThreadOptions
const routes = new RouteTable<Gate>()
const meter = new RequestMeter()
const tracer = options.sampling && new Tracer(options.sampling, (spans) => post({ kind: 'spans', spans }))
let ready = true

const rules: IngressRules = {
  meter: options.timed ? meter : undefined,
  tracer,
  refusal({ hostName, hasBody }) {
    if (!ready) {
      const reason = 'the host takes no requests now'
      return { status: 503, code: 'ERR_HOST_DRAINING', reason, retryAfterS: 1, close: true }
    }
    if (routes.find(hostName) !== undefined) return undefined
    const reason = `no workload serves the host ${JSON.stringify(hostName.slice(0, 255))}`
    return { status: 404, code: 'ERR_INGRESS_NO_ROUTE', reason, close: hasBody }
  },
  forward: (request, head) => routes.find(head.hostName)!.forward(request, head),
}
const server = new HttpServer(
  { ...options, ...usualPatience },
  (connection, request) => new LaneRequest(connection, request, rules),
)
server.listen().then(
  () => post({ kind: 'listening', port: server.port }),
  (error: NodeJS.ErrnoException) => post({ kind: 'failed', code: error.code ?? '', message: error.message }),
)

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
      return post({ kind: 'measured', id: message.id, reading: meter.read(server.connections) })
    case 'close':
      return close(message.drainTimeoutMs)
  }
})

function close(drainTimeoutMs: number): void {
  const cut = setTimeout(() => server.closeAllConnections(), drainTimeoutMs)
  void server.close().then(() => {
    clearTimeout(cut)
    tracer?.flush()
    post({ kind: 'closed' })
  })
}
