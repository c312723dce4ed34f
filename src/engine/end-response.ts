import type { ServerResponse } from 'node:http'
import { latin1 } from '../wasi/http/latin1.ts'
import { shortBodyBytes } from './short-body.ts'

/**
 * Ends a response whose head is written but not sent with its whole body; a string is latin-1. node:http joins head and body into one
 * write only when the body is a string; a buffer makes it a gathered write, which costs as much again as the rest of a small answer.
 */
export function endResponse(response: ServerResponse, body: Uint8Array | string | undefined): void {
  if (body === undefined || body.length === 0) response.end()
  else if (typeof body === 'string') response.end(body, 'latin1')
  else if (body.byteLength > shortBodyBytes) response.end(body)
  else response.end(latin1(body), 'latin1')
}
