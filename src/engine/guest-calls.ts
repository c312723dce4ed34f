import { cellEnded, fromWire } from './cell-errors.ts'
import type { FromCellMain, ToCellMain } from './cell-protocol.ts'
import type { HttpListenOptions } from './engine.ts'

type Answer = Extract<FromCellMain, { kind: 'listening' | 'run-ended' | 'call-ended' }>
type Waiting = { resolve(result: unknown): void; reject(error: Error): void }

/** What the control thread has asked a cell's thread for and waits for: runs, calls of exported functions, listeners. */
export class GuestCalls {
  readonly #workload: string
  readonly #post: (message: ToCellMain) => void
  readonly #runs = new Map<number, Waiting>()
  readonly #listening = new Map<number, PromiseWithResolvers<{ port: number }>>()
  #nextId = 1

  /** @param post sends to the cell's present thread, if it has one */
  constructor(workload: string, post: (message: ToCellMain) => void) {
    this.#workload = workload
    this.#post = post
  }

  /** Runs and calls in progress. */
  get running(): number {
    return this.#runs.size
  }

  /** Anybody waits for anything. */
  get awaited(): boolean {
    return this.#runs.size + this.#listening.size > 0
  }

  /** Enters the guest with the message that `message` makes. */
  enter(message: (id: number) => ToCellMain, signal: AbortSignal): Promise<unknown> {
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#runs.set(id, { resolve, reject })
    const onAbort = () => this.#post({ kind: 'abort-run', id })
    signal.addEventListener('abort', onAbort, { once: true })
    this.#post(message(id))
    return promise.finally(() => signal.removeEventListener('abort', onAbort))
  }

  listen(component: string, options: HttpListenOptions): Promise<{ port: number }> {
    const id = this.#nextId++
    const listening = Promise.withResolvers<{ port: number }>()
    this.#listening.set(id, listening)
    this.#post({ kind: 'listen', id, component, options })
    return listening.promise
  }

  settle(message: Answer): void {
    if (message.kind === 'listening') {
      const listening = this.#listening.get(message.id)
      this.#listening.delete(message.id)
      if (message.port !== undefined) listening?.resolve({ port: message.port })
      else listening?.reject(fromWire(message.error!, 'ERR_INGRESS_LISTEN', this.#workload))
      return
    }
    const run = this.#runs.get(message.id)
    this.#runs.delete(message.id)
    if (message.error !== undefined) run?.reject(fromWire(message.error, 'ERR_COMPONENT_TRAP', this.#workload))
    else if (message.kind === 'call-ended') run?.resolve(message.result)
    else run?.resolve({ exitCode: message.exitCode ?? 0 })
  }

  /** The thread that was asked is gone. */
  abandon(reason: string): void {
    for (const run of this.#runs.values()) run.reject(cellEnded(reason))
    this.#runs.clear()
    for (const listening of this.#listening.values()) listening.reject(cellEnded(reason))
    this.#listening.clear()
  }
}
