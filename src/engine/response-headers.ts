/** Fields of the connection, which is the host's and not the component's. */
export const connectionFields = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
])

/**
 * The component's response header fields as they go out: without those of the connection, with one Content-Length at most.
 * @param knownLength of the body, when it is all there
 * @returns the reason when they must not be sent
 */
export function responseHeaders(
  headers: readonly string[],
  knownLength: number | undefined,
): { headers: string[]; contentLength: number | undefined } | string {
  const out: string[] = []
  let contentLength: number | undefined
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index]!
    const value = headers[index + 1]!
    const lower = name.toLowerCase()
    if (connectionFields.has(lower)) continue
    if (lower === 'content-length') {
      if (contentLength !== undefined) return 'it has more than one Content-Length'
      if (!/^\d{1,15}$/.test(value)) return 'its Content-Length is not a number'
      contentLength = Number(value)
    }
    out.push(name, value)
  }
  if (contentLength === undefined && knownLength !== undefined) {
    out.push('content-length', String(knownLength))
    contentLength = knownLength
  }
  return { headers: out, contentLength }
}
