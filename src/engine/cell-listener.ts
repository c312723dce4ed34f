import type { Tracer } from '../observability/tracer.ts'
import type { CellComponent } from './cell-component.ts'
import { DirectExchange } from './direct-exchange.ts'
import type { HttpListenOptions } from './engine.ts'
import { HttpServer, usualPatience } from './http-server.ts'
import type { ListenerMeter } from './listener-meter.ts'

/** HTTP in the cell's own thread: one component owns the port, every host name is its own. */
export async function listenInCell(
  component: CellComponent,
  options: HttpListenOptions,
  {
    draining,
    meter,
    tracer,
  }: {
    readonly draining: () => boolean
    readonly meter: ListenerMeter | undefined
    readonly tracer: Tracer | undefined
  },
): Promise<HttpServer> {
  const rules = {
    maxBodyBytes: component.init.limits.maxBodyBytes,
    refusal: () => (draining() ? 'the workload is stopping' : undefined),
    meter,
    tracer,
    serve: (exchange: DirectExchange) => void component.serve(exchange),
  }
  const server = new HttpServer(
    { ...options, ...usualPatience, reusePort: true },
    (connection, request) => new DirectExchange(connection, request, rules),
    (bytes) => component.bytes.give(bytes),
  )
  await server.listen()
  return server
}
