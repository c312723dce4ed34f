import { STATUS_CODES } from 'node:http'

export type HeaderPairs = readonly (readonly [name: string, value: string])[]

/** How a response's body is delimited, and what becomes of its connection. */
export type Framing = {
  /** Of the body, when it is all there; `undefined`: not known, or there is none to tell (HEAD, 204, 304). */
  readonly length: number | undefined
  /** No body follows, whatever the head says: HEAD, 204, 304. */
  readonly bodyless: boolean
  /** The client knows chunks: HTTP/1.1. */
  readonly chunks: boolean
  /** The connection's own fields when it stays open; `undefined`: it is closed after this response. */
  readonly keepAlive: string | undefined
}

export type ResponseHead = {
  /** With the empty line; latin-1. */
  readonly text: string
  readonly contentLength: number | undefined
  readonly chunked: boolean
  /** The end of the connection is the end of the body, or the client was told that it ends. */
  readonly close: boolean
}

/** Fields of the connection, which is the host's and not the component's. */
const connectionFields = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
])

const statusLines = new Map(
  Object.entries(STATUS_CODES).map(([status, reason]) => [Number(status), `HTTP/1.1 ${status} ${reason}\r\n`]),
)
const token = /^[\^`\-\w!#$%&'*+.|~]+$/
const notInValue = /[^\t\x20-\x7e\x80-\xff]/

/**
 * The head of a response as it goes out: the component's fields without those of the connection, with one Content-Length at most.
 * @param date the line of the Date field, used unless the component set one
 * @returns the reason when it must not be sent
 */
export function responseHead(
  status: number,
  headers: HeaderPairs,
  { length, bodyless, chunks, keepAlive }: Framing,
  date: string,
): ResponseHead | string {
  if (!Number.isInteger(status) || status < 200 || status > 999) return 'its status is not one of a final response'
  let text = statusLines.get(status) ?? `HTTP/1.1 ${status} \r\n`
  let contentLength: number | undefined
  let dated = false
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (connectionFields.has(lower)) continue
    if (!token.test(name)) return 'the name of a field is not valid'
    if (notInValue.test(value)) return 'the value of a field is not valid'
    if (lower === 'content-length') {
      if (contentLength !== undefined) return 'it has more than one Content-Length'
      if (!/^\d{1,15}$/.test(value)) return 'its Content-Length is not a number'
      contentLength = Number(value)
      if (status === 204) continue
    } else if (lower === 'date') dated = true
    text += `${name}: ${value}\r\n`
  }
  if (contentLength === undefined && length !== undefined) {
    contentLength = length
    text += `content-length: ${length}\r\n`
  }
  if (!dated) text += date
  const chunked = contentLength === undefined && !bodyless && chunks
  if (chunked) text += 'Transfer-Encoding: chunked\r\n'
  const close = keepAlive === undefined || (contentLength === undefined && !bodyless && !chunks)
  text += close ? 'Connection: close\r\n\r\n' : keepAlive
  return { text, contentLength, chunked, close }
}

/** Trailer fields as lines; `undefined` when one is not valid. */
export function trailerLines(trailers: HeaderPairs): string | undefined {
  let text = ''
  for (const [name, value] of trailers) {
    if (!token.test(name) || notInValue.test(value)) return undefined
    text += `${name}: ${value}\r\n`
  }
  return text
}
