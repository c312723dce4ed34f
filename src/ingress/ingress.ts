import type { Cell } from '../engine/engine.ts'
import type { IngressReading } from './request-meter.ts'

/** HTTP listeners in threads of their own; requests go to components by their Host header. */
export interface Ingress extends AsyncDisposable {
  /** Where it listens; the port is the real one also when 0 was asked for. */
  readonly address: { readonly host: string; readonly port: number }
  /**
   * Sends requests for `hosts` (names without port; `*`: every host that has no route of its own) to the component. Several routes for one
   * host are replicas: the one with the fewest requests in flight is taken. The route ends with its disposal, and with the cell.
   * @throws HeraldError as `Cell.connectHttp` does
   */
  route(route: { hosts: readonly string[] | '*'; cell: Cell; component: string }): Disposable
  /** Not ready: every new request is answered 503 and its connection closed. Initially ready. */
  setReady(ready: boolean): void
  /**
   * Asks every thread, which shows that its event loop turns.
   * @returns one reading for each that answered within `timeoutMs`, `undefined` for the others
   */
  measure(options: { timeoutMs: number }): Promise<readonly (IngressReading | undefined)[]>
  /** Takes no new connections; requests in flight may finish within `drainTimeoutMs`, then all are cut. Idempotent. */
  close(options?: { drainTimeoutMs?: number }): Promise<void>
}
