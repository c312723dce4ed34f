import { fromWire } from './cell-errors.ts'
import type { CellInit, FromCellMain, ToCellMain } from './cell-protocol.ts'
import type { CellThread } from './cell-thread.ts'

const startTimeoutMs = 30_000

export type CellLifeListeners = {
  /** After `ready`, and before: what a capability asks for while its guest is made. */
  onMessage(message: Exclude<FromCellMain, { kind: 'ready' | 'failed' }>): void
  /** The thread is gone. `served`: it had come so far as to serve. */
  onGone(served: boolean): void
}

/** One life of a cell: its thread from the start to the end, and what ended it. */
export class CellLife {
  readonly thread: CellThread
  readonly #listeners: CellLifeListeners
  #endReason: string | undefined
  #endingSinceMs: number | undefined

  constructor(thread: CellThread, listeners: CellLifeListeners) {
    this.thread = thread
    this.#listeners = listeners
  }

  /** Why it ended or is to end; the first reason counts. */
  get endReason(): string {
    return this.#endReason ?? 'it ended'
  }

  /** Since when its end is waited for, by `performance.now()`. */
  get endingSinceMs(): number | undefined {
    return this.#endingSinceMs
  }

  /** Gives the thread its workload; resolves once it serves. @throws what it failed with, or the signal's reason; the thread is gone then. */
  async start(cell: CellInit, signal: AbortSignal): Promise<void> {
    const { thread } = this
    const started = Promise.withResolvers<void>()
    const timer = setTimeout(() => this.end(`it did not start within ${startTimeoutMs / 1000} s`), startTimeoutMs)
    const onAbort = () => this.end('the start was cancelled')
    signal.addEventListener('abort', onAbort, { once: true })
    let ready = false
    thread.attach({
      onMessage: (message) => {
        if (message.kind === 'ready') {
          ready = true
          started.resolve()
        } else if (message.kind === 'failed') started.reject(fromWire(message.error, 'ERR_COMPONENT_START', cell.name))
        else this.#listeners.onMessage(message)
      },
      onExit: (reason) => {
        this.#endReason ??= reason
        this.#listeners.onGone(ready)
        if (ready) return
        const { endReason: message } = this
        started.reject(
          signal.aborted ? signal.reason : fromWire({ code: '', message }, 'ERR_COMPONENT_START', cell.name),
        )
      },
    })
    this.post({ kind: 'init', cell })
    try {
      await started.promise
    } catch (error) {
      await thread.terminate()
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  post(message: ToCellMain): void {
    this.thread.post(message)
  }

  /** Ends the thread. Resolves once it is gone. */
  end(reason: string): Promise<unknown> {
    this.#endReason ??= reason
    this.#endingSinceMs ??= performance.now()
    return this.thread.terminate()
  }
}
