// One contender of `bench/engine.ts`, as a process of its own: serves until it is ended.
// usage: engine-server.ts bare|ingress|direct PORT THREADS [COMPONENT] [POOL_SIZE]
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { isMainThread, Worker } from 'node:worker_threads'
import { systemClock } from '../src/clock/clock.ts'
import { createEngine } from '../src/engine/create-engine.ts'
import { createIngress } from '../src/ingress/create-ingress.ts'
import { createLog } from '../src/observability/log.ts'
import { cellSpec, component as guest } from '../test/engine/engine-fixture.ts'

const host = '127.0.0.1'
const [kind, portText, threadsText, component = '', poolSize = '8'] = process.argv.slice(2)
const port = Number(portText)
const threads = Number(threadsText)

if (kind !== 'bare') await serveComponent(readFileSync(component))
else if (isMainThread)
  for (let n = 0; n < threads; n++) new Worker(import.meta.filename, { argv: process.argv.slice(2) })
else serveBare()

/** The same answers, byte for byte, that the component gives. */
function serveBare(): void {
  const server = createServer((request, response) => {
    if (request.url === '/echo') {
      response.writeHead(200)
      request.pipe(response)
      return
    }
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': 6 })
    response.end('hello\n')
  })
  server.listen({ host, port, reusePort: true, backlog: 4096 })
}

/** `threads` cells that listen themselves, or have as many listening threads in front of them. */
async function serveComponent(bytes: Uint8Array): Promise<void> {
  const log = createLog({ level: 'error' })
  const engine = createEngine({ log, clock: systemClock })
  const signal = AbortSignal.timeout(60_000)
  const cells = []
  for (let n = 0; n < threads; n++) {
    cells.push(await engine.startCell(cellSpec(guest(bytes, { poolSize: Number(poolSize) })), { signal }))
  }
  if (kind === 'direct') {
    const limits = { maxHeaderBytes: 16_384, keepAliveTimeoutMs: 75_000, maxConnections: 10_000 }
    for (const cell of cells) await cell.listenHttp!('guest', { host, port, ...limits })
    return
  }
  const ingress = await createIngress({ log, host, port, threads })
  for (const cell of cells) ingress.route({ hosts: '*', cell, component: 'guest' })
}
