import { Worker } from 'node:worker_threads'
import type { Cell } from '../engine/engine.ts'
import { workerUrl } from '../engine/worker-url.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { SpanSink } from '../observability/span.ts'
import type { TraceSampling } from '../observability/tracer.ts'
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
  /** Makes spans of requests, and gives their context to the guests. Default: none. */
  readonly tracing?: { readonly sampling: TraceSampling; readonly onSpans: SpanSink } | undefined
  /** For tests: sees each listening thread, also one that replaces another. */
  readonly onThread?: (worker: Worker) => void
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
  const sampling = options.tracing?.sampling
  const started: IngressThread[] = []
  let port = options.port
  try {
    for (let n = 0; n < threads; n++) {
      const data = {
        host,
        port,
        reusePort: threads > 1,
        maxHeaderBytes,
        keepAliveTimeoutMs,
        maxConnections,
        timed,
        sampling,
      }
      const { worker, listeningOn } = await startThread(data, log)
      started.push({ worker, options: { ...data, port: listeningOn } })
      port = listeningOn
    }
  } catch (error) {
    await Promise.all(started.map(({ worker }) => worker.terminate()))
    throw error
  }
  return new ThreadedIngress(started, { host, port }, options)
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

/** A listening thread; `worker` changes when one had to be replaced. */
type IngressThread = { worker: Worker; readonly options: IngressThreadOptions }
type Route = { readonly hosts: readonly string[] | '*'; readonly cell: Cell; readonly component: string }

const longestRestartPauseMs = 5_000

class ThreadedIngress implements Ingress {
  readonly address: { readonly host: string; readonly port: number }
  readonly #threads: readonly IngressThread[]
  readonly #log: Log
  readonly #onThread: ((worker: Worker) => void) | undefined
  readonly #onSpans: SpanSink | undefined
  readonly #routes = new Map<number, Route>()
  readonly #readings = new Map<number, (reading: IngressReading) => void>()
  #nextReading = 1
  #nextRoute = 1
  #ready = true
  #closed: Promise<void> | undefined

  constructor(threads: readonly IngressThread[], address: { host: string; port: number }, options: IngressOptions) {
    this.#threads = threads
    this.address = address
    this.#log = options.log
    this.#onThread = options.onThread
    this.#onSpans = options.tracing?.onSpans
    for (const thread of threads) this.#watch(thread)
  }

  route(route: Route): Disposable {
    const id = this.#nextRoute++
    for (const { worker } of this.#threads) connectRoute(worker, id, route)
    this.#routes.set(id, route)
    return {
      [Symbol.dispose]: () => {
        this.#routes.delete(id)
        this.#post({ kind: 'unroute', id })
      },
    }
  }

  setReady(ready: boolean): void {
    this.#ready = ready
    this.#post({ kind: 'ready', ready })
  }

  #watch(thread: IngressThread): void {
    thread.worker.on('message', (message: FromIngressThread) => {
      if (message.kind === 'measured') this.#readings.get(message.id)?.(message.reading)
      if (message.kind === 'spans') this.#onSpans?.(message.spans)
    })
    thread.worker.once('exit', () => {
      if (this.#closed === undefined) void this.#replace(thread)
    })
    this.#onThread?.(thread.worker)
  }

  /** A thread that ended by itself is a defect; its connections are lost, and a new one takes its place with the same routes. */
  async #replace(thread: IngressThread): Promise<void> {
    this.#log.error({ event: 'ingress.restarting' }, 'an ingress thread ended; starting another')
    for (let pauseMs = 0; this.#closed === undefined; pauseMs = Math.min(pauseMs * 2 + 100, longestRestartPauseMs)) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      const started = await startThread(thread.options, this.#log).catch(() => undefined)
      if (started === undefined) continue
      thread.worker = started.worker
      if (this.#closed !== undefined) {
        await started.worker.terminate()
        return
      }
      this.#watch(thread)
      started.worker.postMessage({ kind: 'ready', ready: this.#ready } satisfies ToIngressThread)
      for (const [id, route] of this.#routes) {
        try {
          connectRoute(started.worker, id, route)
        } catch {
          // Its cell is closed; so is its route, as soon as its owner gets to it.
        }
      }
      return
    }
  }

  measure({ timeoutMs }: { timeoutMs: number }): Promise<readonly (IngressReading | undefined)[]> {
    return Promise.all(
      this.#threads.map(async ({ worker }) => {
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
      this.#threads.map(async ({ worker }) => {
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
    for (const { worker } of this.#threads) worker.postMessage(message)
  }
}

function connectRoute(worker: Worker, id: number, { hosts, cell, component }: Route): void {
  const gate = cell.connectHttp(component)
  const message: ToIngressThread = { kind: 'route', id, hosts, gate }
  worker.postMessage(message, [gate])
}
