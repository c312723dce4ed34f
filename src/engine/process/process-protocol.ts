import type { MessagePort } from 'node:worker_threads'
import type { CellInit, FromCellMain, ToCellMain } from '../cell-protocol.ts'
import type { ToCell, ToIngress } from '../http-channel.ts'
import type { SharedPlace } from './shared-places.ts'

/** Where the frames go, in the process. */
export const framesDescriptor = 3

/**
 * What the relay thread and a cell's process say to each other, one frame each (see `frame-stream.ts`). A lane is what a `MessagePort` is within one
 * process; it has the number that the relay gave it.
 */
export type ToProcess =
  /** First of all: certificates, in PEM, that it is to trust beside those that Node brings, as this host does. */
  | readonly ['start', authorities: readonly string[]]
  /** Then; without its shared memories, whose contents and places follow, and with bytes in place of modules. */
  | readonly ['init', CellInit, memories: readonly Int32Array[], places: readonly SharedPlace[]]
  | readonly ['message', ToCellMain]
  | readonly ['lane', lane: number, component: string]
  | readonly ['batch', lane: number, readonly ToCell[]]
  | readonly ['close', lane: number]
  | readonly ['added', readonly number[]]
  | readonly ['ping']

export type FromProcess =
  | readonly ['message', FromCellMain]
  | readonly ['batch', lane: number, readonly ToIngress[]]
  | readonly ['close', lane: number]
  | readonly ['added', readonly number[]]
  | readonly ['pong']
  /** What was written past WASI, by the glue or by Node itself. */
  | readonly ['stray', string]
  /** Its last frame: why its thread ended. */
  | readonly ['ended', reason: string]

/** Control thread → relay thread, on the relay's own port. */
export type ToRelay = { readonly kind: 'start'; readonly port: MessagePort; readonly grants: ProcessGrants }

/** Control thread → relay thread, on the port of one process. */
export type ToRelayedProcess = { readonly kind: 'post'; readonly message: ToCellMain } | { readonly kind: 'kill' }

/** Relay thread → control thread, on the same port. */
export type FromRelayedProcess =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'message'; readonly message: FromCellMain }
  | { readonly kind: 'stray'; readonly text: string }
  /** Once, and the last. The lanes stay open until the port is closed, so that nobody hears of the end before its reason. */
  | { readonly kind: 'exited'; readonly reason: string | undefined }

/** What a cell's process may do beyond computing; decided when it is started, from what its workload was granted. */
export type ProcessGrants = {
  readonly network: boolean
  /** Absolute paths, with all that is under them. */
  readonly readable: readonly string[]
  readonly writable: readonly string[]
}
