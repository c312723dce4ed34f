import { Worker } from 'node:worker_threads'
import type { Cell } from '../engine/engine.ts'
import { workerUrl } from '../engine/worker-url.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { Ingress } from './ingress.ts'
import type { FromIngressThread, IngressThreadOptions, ToIngressThread } from './ingress-protocol.ts'
import type { IngressReading } from './request-meter.ts'

export type IngressOptions = {
  readonly log: Log
  /** Address to listen on: `127.0.0.1`, `::`. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Listening threads on the same port (SO_REUSEPORT when above 1). Default 1. */
  readonly threads?: number
  /** Largest request head, bytes. Default 16 KiB; above: 431. */
  readonly maxHeaderBytes?: number
  /** How long an idle connection is kept, ms. Default 75,000. */
  readonly keepAliveTimeoutMs?: number
  /** Open connections per thread; above, new ones are dropped. Default 10,000. */
  readonly maxConnections?: number
  /** Time each request, for {@link Ingress.measure}. Default false. */
  readonly timed?: boolean
}

/** Starts to listen. @throws ERR_INGRESS_LISTEN when the address cannot be had. */
export async function createIngress(options: IngressOptions): Promise<Ingress> {
  const {
    log,
    host,
    threads = 1,
    maxHeaderBytes = 16_384,
    keepAliveTimeoutMs = 75_000,
    maxConnections = 10_000,
    timed = false,
  } = options
  const workers: Worker[] = []
  let port = options.port
  try {
    for (let n = 0; n < threads; n++) {
      const data = { host, port, reusePort: threads > 1, maxHeaderBytes, keepAliveTimeoutMs, maxConnections, timed }
      const { worker, listeningOn } = await startThread(data, log)
      workers.push(worker)
      port = listeningOn
    }
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.terminate()))
    throw error
  }
  return new ThreadedIngress(workers, { host, port }, log)
}

async function startThread(options: IngressThreadOptions, log: Log): Promise<{ worker: Worker; listeningOn: number }> {
  const worker = new Worker(workerUrl('ingress-main', import.meta.url), {
    name: 'herald-ingress',
    workerData: options,
    argv: [],
    env: {},
    execArgv: [],
    stdin: false,
  })
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  worker.once('message', (message: FromIngressThread) => {
    if (message.kind === 'listening') resolve(message.port)
    else reject(cannotListen(options, message.kind === 'failed' ? `${message.code} ${message.message}` : 'it ended'))
  })
  worker.once('error', (error: Error) => {
    log.error({ event: 'ingress.failed', reason: error.message }, 'an ingress thread failed')
    reject(cannotListen(options, error.message))
  })
  try {
    return { worker, listeningOn: await promise }
  } catch (error) {
    await worker.terminate()
    throw error
  }
}

function cannotListen({ host, port }: IngressThreadOptions, reason: string): HeraldError {
  return new HeraldError('ERR_INGRESS_LISTEN', `cannot listen for HTTP on ${host}:${port}: ${reason}`, {
    hint: 'choose another address or port, or end the process that has it',
  })
}

class ThreadedIngress implements Ingress {
  readonly address: { readonly host: string; readonly port: number }
  readonly #workers: readonly Worker[]
  readonly #log: Log
  readonly #readings = new Map<number, (reading: IngressReading) => void>()
  #nextReading = 1
  #nextRoute = 1
  #closed: Promise<void> | undefined

  constructor(workers: readonly Worker[], address: { host: string; port: number }, log: Log) {
    this.#workers = workers
    this.address = address
    this.#log = log
    for (const worker of workers) {
      worker.on('message', (message: FromIngressThread) => {
        if (message.kind === 'measured') this.#readings.get(message.id)?.(message.reading)
      })
    }
  }

  route({ hosts, cell, component }: { hosts: readonly string[] | '*'; cell: Cell; component: string }): Disposable {
    const id = this.#nextRoute++
    for (const worker of this.#workers) {
      const gate = cell.connectHttp(component)
      const message: ToIngressThread = { kind: 'route', id, hosts, gate }
      worker.postMessage(message, [gate])
    }
    return { [Symbol.dispose]: () => this.#post({ kind: 'unroute', id }) }
  }

  setReady(ready: boolean): void {
    this.#post({ kind: 'ready', ready })
  }

  measure({ timeoutMs }: { timeoutMs: number }): Promise<readonly (IngressReading | undefined)[]> {
    return Promise.all(
      this.#workers.map(async (worker) => {
        const id = this.#nextReading++
        const { promise, resolve } = Promise.withResolvers<IngressReading | undefined>()
        this.#readings.set(id, resolve)
        const timer = setTimeout(() => resolve(undefined), timeoutMs)
        worker.postMessage({ kind: 'measure', id } satisfies ToIngressThread)
        const reading = await promise
        clearTimeout(timer)
        this.#readings.delete(id)
        return reading
      }),
    )
  }

  close({ drainTimeoutMs = 0 }: { drainTimeoutMs?: number } = {}): Promise<void> {
    this.#closed ??= this.#close(drainTimeoutMs)
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(drainTimeoutMs: number): Promise<void> {
    await Promise.all(
      this.#workers.map(async (worker) => {
        const closed = new Promise<void>((resolve) => {
          worker.on('message', (message: FromIngressThread) => message.kind === 'closed' && resolve())
          worker.once('exit', () => resolve())
        })
        worker.postMessage({ kind: 'close', drainTimeoutMs } satisfies ToIngressThread)
        const timer = setTimeout(() => void worker.terminate(), drainTimeoutMs + 1000)
        await closed
        clearTimeout(timer)
        await worker.terminate()
      }),
    )
    this.#log.debug({ event: 'ingress.closed' }, 'ingress closed')
  }

  #post(message: ToIngressThread): void {
    for (const worker of this.#workers) worker.postMessage(message)
  }
}
