import type { HttpExchange } from '../wasi/http-exchange.ts'

/** An {@link HttpExchange} as the cell sees it, whatever carries it. */
export interface ServedExchange extends HttpExchange {
  /** Called when the client is gone; set by the cell. */
  onGone: ((reason: Error) => void) | undefined
  /** Ends the exchange as failed: an answer of `status` with a reason when no head was sent, else a broken-off response. Idempotent. */
  fail(status: number, code: string, reason: string): void
}

/** Larger than the body limit of the component: thrown by a request's body, and by a response's sink. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError'
}
