export type PlainAnswer = {
  readonly status: number
  readonly code: string
  readonly reason: string
  readonly retryAfterS?: number | undefined
  /** The connection ends with it. */
  readonly close?: boolean
}

/** An answer of the host itself, not of a component: JSON with a stable code and a reason. */
export function plainAnswer({ status, code, reason, retryAfterS }: PlainAnswer): {
  status: number
  headers: [name: string, value: string][]
  body: string
} {
  const headers: [string, string][] = [
    ['content-type', 'application/json'],
    ['x-content-type-options', 'nosniff'],
  ]
  if (retryAfterS !== undefined) headers.push(['retry-after', String(retryAfterS)])
  return { status, headers, body: `${JSON.stringify({ error: { code, reason } })}\n` }
}
