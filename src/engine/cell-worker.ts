import { type MessagePort, Worker } from 'node:worker_threads'
import type { Log } from '../observability/log.ts'
import type { FromCellMain, ToCellMain } from './cell-protocol.ts'
import type { CellThreads } from './cell-supervisor.ts'
import type { CellThread, CellThreadListeners } from './cell-thread.ts'
import { workerUrl } from './worker-url.ts'

/** JavaScript heap of a cell, MiB: WASI objects, buffers in JavaScript, garbage-collected guests. Linear memories are capped apart. */
const heapMb = 512

export type CellWorkerOptions = {
  readonly entry?: URL
  readonly inheritOptions?: boolean
  readonly workerData?: object
}

/**
 * Starts a thread that waits for its workload: no environment, no standard input, nothing of the host's arguments.
 * @param onStray what is written past WASI, by jco's glue or by Node itself
 * @param options `inheritOptions`: those of this process, its permissions among them, which bind no thread that is started without
 */
export function startCellWorker(
  onStray: (text: string) => void,
  { entry = workerUrl('cell-main', import.meta.url), inheritOptions = false, workerData }: CellWorkerOptions = {},
): Worker {
  const worker = new Worker(entry, {
    name: 'herald-cell',
    argv: [],
    workerData,
    env: {},
    ...(!inheritOptions && { execArgv: [] }),
    stdin: false,
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 64, stackSizeMb: 4 },
  })
  for (const stream of [worker.stdout, worker.stderr]) {
    stream.on('data', (chunk: Buffer) => onStray(chunk.toString().slice(0, 1000)))
  }
  return worker
}

/** A cell's thread that is one of this process. */
class WorkerThread implements CellThread {
  readonly #worker: Worker

  constructor(worker: Worker) {
    this.#worker = worker
  }

  attach({ onMessage, onExit }: CellThreadListeners): void {
    let reason: string | undefined
    this.#worker.on('message', (message: FromCellMain) => onMessage(message))
    this.#worker.on('error', (error: Error & { code?: string }) => {
      reason = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'it ran out of memory' : `it failed: ${error.message}`
    })
    this.#worker.on('exit', () => onExit(reason))
  }

  post(message: ToCellMain, transfer: readonly MessagePort[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  terminate(): Promise<unknown> {
    return this.#worker.terminate()
  }
}

/** Keeps one started cell thread ready, so that a new or restarted cell does not wait for it. */
export class SpareCells implements CellThreads {
  readonly #log: Log
  #spare: Worker | undefined
  #closed = false

  constructor(log: Log) {
    this.#log = log
  }

  take(): CellThread {
    const worker = this.#spare ?? this.#start()
    this.#spare = undefined
    worker.removeAllListeners('error').removeAllListeners('exit')
    worker.ref()
    return new WorkerThread(worker)
  }

  refill(): void {
    if (this.#closed || this.#spare !== undefined) return
    const worker = this.#start()
    this.#spare = worker
    worker.unref()
    const lost = () => {
      if (this.#spare === worker) this.#spare = undefined
    }
    worker.once('error', lost).once('exit', lost)
  }

  #start(): Worker {
    return startCellWorker((text) => this.#log.debug({ event: 'cell.stray_output', text }, 'cell'))
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#spare?.terminate()
  }
}
