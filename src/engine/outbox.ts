import type { ServerResponse } from 'node:http'
import { endResponse } from './end-response.ts'

/**
 * Complete responses of one turn of the event loop, sent together at its end. A client that waits is woken by the first
 * and is still awake for the others: under load that wake-up is a large part of a small answer's cost.
 */
export class Outbox {
  #responses: ServerResponse[] = []
  #bodies: (Uint8Array | undefined)[] = []
  readonly #flush = (): void => {
    const responses = this.#responses
    const bodies = this.#bodies
    this.#responses = []
    this.#bodies = []
    for (const [index, response] of responses.entries()) endResponse(response, bodies[index])
  }

  push(response: ServerResponse, body: Uint8Array | undefined): void {
    this.#bodies.push(body)
    if (this.#responses.push(response) === 1) setImmediate(this.#flush)
  }
}
