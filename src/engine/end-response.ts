import type { ServerResponse } from 'node:http'

/** Up to here a body is cheaper to send as part of the head's text than as a second buffer. */
const joinUpToBytes = 16_384

/**
 * Ends a response whose head is written but not sent with its whole body. node:http joins head and body into one write only when the
 * body is a string; a buffer makes it a gathered write, which costs as much again as the whole rest of a small answer.
 */
export function endResponse(response: ServerResponse, body: Uint8Array | undefined): void {
  if (body === undefined || body.byteLength === 0) response.end()
  else if (body.byteLength > joinUpToBytes) response.end(body)
  else response.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), 'latin1')
}
