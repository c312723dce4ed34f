// One contender of `bench/http.ts`, as a process of its own: prints its port, then serves until it is ended.
// usage: http-server.ts bare|ingress|direct [COMPONENT] [POOL_SIZE]
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../src/clock/clock.ts'
import { createEngine } from '../src/engine/create-engine.ts'
import { defaultLimits } from '../src/engine/default-limits.ts'
import { createIngress } from '../src/ingress/create-ingress.ts'
import { createLog } from '../src/observability/log.ts'

const [kind, component = '', poolSize = '8'] = process.argv.slice(2)
const host = '127.0.0.1'

if (kind === 'bare') {
  // The same answer, byte for byte, that the component gives.
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': 6 })
    response.end('hello\n')
  })
  server.listen(0, host, () => console.log((server.address() as AddressInfo).port))
} else {
  const engine = createEngine({ log: createLog({ level: 'error' }), clock: systemClock })
  const cell = await engine.startCell(
    {
      name: 'bench',
      workloadId: 'bench',
      deniedAddresses: [],
      components: [
        {
          name: 'hello',
          bytes: readFileSync(component),
          limits: { ...defaultLimits, poolSize: Number(poolSize) },
          environment: {},
          args: [],
          allowedHosts: [],
          allowedIpNameLookups: [],
          allowedHostLoopbackPorts: [],
          preopens: [],
          bindings: [],
          capabilityInterfaces: [],
          capabilityWaits: [],
        },
      ],
    },
    { signal: AbortSignal.timeout(60_000) },
  )
  if (kind === 'direct') {
    const limits = { maxHeaderBytes: 16_384, keepAliveTimeoutMs: 75_000, maxConnections: 10_000 }
    const listening = await cell.listenHttp?.('hello', { host, port: 0, ...limits })
    console.log(listening?.port)
  } else {
    const ingress = await createIngress({ log: createLog({ level: 'error' }), host, port: 0 })
    ingress.route({ hosts: '*', cell, component: 'hello' })
    console.log(ingress.address.port)
  }
}
