import type { Cell } from '../engine/engine.ts'

/** What the host asks of the HTTP ingress; the ingress room fulfils it without knowing the host. */
export interface HttpRouter {
  /**
   * Sends requests for `hosts` (names without port; `*`: every host that no other route names) to a component of a cell. Several routes
   * for one host share its requests. Disposal ends the route for new requests; those in flight go on.
   */
  route(route: { hosts: readonly string[] | '*'; cell: Cell; component: string }): Disposable
}
