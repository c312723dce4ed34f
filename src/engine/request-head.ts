/** What is read of it: node:http's message will do. */
export type ReceivedHead = {
  /** Names as they came, and values, in turn. */
  readonly rawHeaders: readonly string[]
  readonly url?: string | undefined
  readonly httpVersionMinor: number
}

export type RequestHead = {
  /** Names lowercase, values as they came; without hop-by-hop fields. */
  readonly headers: string[]
  /** As the client named it, with port. */
  readonly authority: string
  /** Without port, lowercase: what routes are found by. */
  readonly hostName: string
  readonly pathWithQuery: string
  readonly hasBody: boolean
  /** Of the body, when the client says so. */
  readonly contentLength: number | undefined
  /** The client sends its body once it is told to (RFC 9110 §10.1.1), by `response.writeContinue()`. */
  readonly expectsContinue: boolean
}

/** Fields that concern this connection only (RFC 9110 §7.6.1), never passed on. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'expect',
  'http2-settings',
])

/** @returns what is wrong with it instead, for an answer of 400 */
export function readRequestHead(request: ReceivedHead): RequestHead | string {
  const raw = request.rawHeaders
  const headers: string[] = []
  let host: string | undefined
  let contentLength: number | undefined
  let chunked = false
  let expectsContinue = false
  let named: string[] | undefined
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!.toLowerCase()
    const value = raw[index + 1]!
    if (name === 'host') {
      if (host !== undefined) return 'more than one Host header'
      host = value
    } else if (name === 'content-length') contentLength = Number(value)
    else if (name === 'transfer-encoding') chunked = true
    else if (name === 'expect') expectsContinue = request.httpVersionMinor === 1
    else if (name === 'connection') named = value.toLowerCase().split(',')
    if (!hopByHop.has(name)) headers.push(name, value)
  }
  if (named !== undefined) dropNamed(headers, named)
  if (chunked && contentLength !== undefined) return 'both Transfer-Encoding and Content-Length'
  let pathWithQuery = request.url ?? '/'
  if (!pathWithQuery.startsWith('/') && pathWithQuery !== '*') {
    // Absolute form: its authority replaces the Host header (RFC 9112 §3.2.2).
    if (!URL.canParse(pathWithQuery)) return 'the request target is neither a path nor a URL'
    const url = new URL(pathWithQuery)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'the request target has a scheme other than http'
    host = url.host
    pathWithQuery = url.pathname + url.search
  }
  if (host === undefined || host === '') return 'no Host header'
  const hostName = hostWithoutPort(host)
  if (hostName === undefined) return 'the Host header is not a host name'
  return {
    headers,
    authority: host,
    hostName,
    pathWithQuery,
    hasBody: chunked || (contentLength ?? 0) > 0,
    contentLength,
    expectsContinue,
  }
}

/** Lowercase; `undefined` when it is not `name[:port]` or `[address][:port]`. */
export function hostWithoutPort(host: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]]+)(?::\d{0,5})?$/i.exec(host)
  return match?.[1]?.toLowerCase()
}

function dropNamed(headers: string[], named: readonly string[]): void {
  for (const each of named) {
    const name = each.trim()
    if (name === 'close' || name === 'keep-alive' || name === '') continue
    for (let index = headers.length - 2; index >= 0; index -= 2) if (headers[index] === name) headers.splice(index, 2)
  }
}
