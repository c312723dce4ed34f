import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { Log } from '../../observability/log.ts'
import type { ToCellMain } from '../cell-protocol.ts'
import type { CellThreads } from '../cell-supervisor.ts'
import type { CellThread, CellThreadListeners } from '../cell-thread.ts'
import { workerUrl } from '../worker-url.ts'
import type { FromRelayedProcess, ProcessGrants, ToRelay, ToRelayedProcess } from './process-protocol.ts'

/** Cells in processes of their own. They and what they send are the relay thread's business, which is there from the first one on. */
export class CellProcesses {
  readonly #log: Log
  readonly #running = new Set<ProcessThread>()
  #relay: Worker | undefined
  #spare: { readonly key: string; readonly thread: ProcessThread } | undefined
  #closed = false

  constructor(log: Log) {
    this.#log = log
  }

  /** For cells that are granted this. One is kept ready for those that are granted what the last was: what a process may do is settled when it starts. */
  threads(grants: ProcessGrants): CellThreads {
    const key = JSON.stringify(grants)
    return { take: () => this.#takeSpare(key) ?? this.#start(grants), refill: () => this.#refill(key, grants) }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#running].map((thread) => thread.terminate()))
    await this.#relay?.terminate()
  }

  #takeSpare(key: string): ProcessThread | undefined {
    const spare = this.#spare
    if (spare?.key !== key) return undefined
    this.#spare = undefined
    return spare.thread
  }

  #refill(key: string, grants: ProcessGrants): void {
    if (this.#closed || this.#spare?.key === key) return
    void this.#spare?.thread.terminate()
    this.#spare = { key, thread: this.#start(grants) }
  }

  #start(grants: ProcessGrants): ProcessThread {
    const { port1, port2 } = new MessageChannel()
    const thread: ProcessThread = new ProcessThread(port1, this.#log, () => {
      this.#running.delete(thread)
      if (this.#spare?.thread === thread) this.#spare = undefined
    })
    this.#running.add(thread)
    this.#relay ??= this.#startRelay()
    this.#relay.postMessage({ kind: 'start', port: port2, grants } satisfies ToRelay, [port2])
    return thread
  }

  #startRelay(): Worker {
    const relay = new Worker(workerUrl('relay-main', import.meta.url), { name: 'herald-relay', env: {}, execArgv: [] })
    relay.unref()
    relay.on('error', (error) => {
      this.#log.error({ event: 'cell.relay_failed', reason: String(error) }, 'the relay of cells in processes failed')
    })
    relay.on('exit', () => {
      if (this.#relay === relay) this.#relay = undefined
    })
    return relay
  }
}

/** A cell's thread that is one of another process, seen from the control thread. */
class ProcessThread implements CellThread {
  readonly #port: MessagePort
  readonly #log: Log
  readonly #gone: Promise<void>
  #listeners: CellThreadListeners | undefined
  #pid: number | undefined

  constructor(port: MessagePort, log: Log, onGone: () => void) {
    this.#port = port
    this.#log = log
    this.#gone = new Promise((resolve) => {
      let reason: string | undefined = 'the relay of cells in processes failed'
      port.on('message', (said: FromRelayedProcess) => {
        if (said.kind === 'message') this.#listeners?.onMessage(said.message)
        else if (said.kind === 'started') this.#pid = said.pid
        else if (said.kind === 'stray') this.#log.debug({ event: 'cell.stray_output', text: said.text }, 'cell')
        else {
          reason = said.reason
          end()
        }
      })
      // With the relay thread its ports close, and with those the pipes of the processes.
      port.on('close', () => end())
      let ended = false
      const end = (): void => {
        if (ended) return
        ended = true
        onGone()
        this.#listeners?.onExit(reason)
        port.close()
        resolve()
      }
    })
  }

  get pid(): number | undefined {
    return this.#pid
  }

  attach(listeners: CellThreadListeners): void {
    this.#listeners = listeners
  }

  post(message: ToCellMain, transfer: readonly MessagePort[] = []): void {
    this.#port.postMessage({ kind: 'post', message } satisfies ToRelayedProcess, [...transfer])
  }

  terminate(): Promise<void> {
    this.#port.postMessage({ kind: 'kill' } satisfies ToRelayedProcess)
    return this.#gone
  }
}
