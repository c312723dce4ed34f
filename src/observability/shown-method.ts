/** Methods that may stand in a metric or the name of a span: a client, or a guest, may send any other word. */
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])

/** `_OTHER` for what is none of RFC 9110, nor PATCH. */
export function shownMethod(method: string | undefined): string {
  return method !== undefined && knownMethods.has(method) ? method : '_OTHER'
}
