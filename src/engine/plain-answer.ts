import type { ServerResponse } from 'node:http'

/** An answer of the host itself, not of a component: JSON with a stable code and a reason. */
export function answerPlainly(
  response: ServerResponse,
  {
    status,
    code,
    reason,
    retryAfterS,
    close = false,
  }: { status: number; code: string; reason: string; retryAfterS?: number | undefined; close?: boolean },
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = `${JSON.stringify({ error: { code, reason } })}\n`
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }),
    ...(close && { connection: 'close' }),
  })
  response.end(body)
}
