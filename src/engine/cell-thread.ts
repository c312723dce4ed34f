import type { MessagePort } from 'node:worker_threads'
import type { FromCellMain, ToCellMain } from './cell-protocol.ts'

/**
 * What runs `cell-main.ts`, wherever it runs: it waits for its workload (`init`), and serves it until it ends. The counters of `CellInit.vitals` tell
 * of it from outside, also while it does not answer.
 */
export interface CellThread {
  /** Of the process that it has for itself; absent: it is one of the host's own. Known once it is `ready`. */
  readonly pid?: number | undefined
  /** To be called once, in the turn of the event loop in which it was taken. */
  attach(listeners: CellThreadListeners): void
  /** What is posted to one that has ended is lost. */
  post(message: ToCellMain, transfer?: readonly MessagePort[]): void
  /** Ends it whatever it does. Resolves once it is gone, after `onExit`. Idempotent. */
  terminate(): Promise<unknown>
}

export type CellThreadListeners = {
  onMessage(message: FromCellMain): void
  /** Once; nothing comes after it. `reason`: what made it end, unless that was `terminate`. */
  onExit(reason: string | undefined): void
}
