import { HTTPParser, methods } from 'node:_http_common'
import type { Socket } from 'node:net'

export type ParsedRequest = {
  readonly method: string
  readonly url: string
  readonly httpVersionMinor: number
  /** Names as they came, and values, in turn. */
  readonly rawHeaders: readonly string[]
  /** The connection may serve another one after it. */
  readonly keepAlive: boolean
}

/** Called while the parser runs: must not throw. */
export interface RequestEvents {
  onRequest(request: ParsedRequest): void
  onBody(chunk: Uint8Array): void
  /** The request is there whole. */
  onComplete(trailers: readonly string[]): void
  /** All that was read has been parsed. @param error its code, when it is no HTTP: no other event follows then */
  onRead(bytes: number, error: string | undefined): void
}

/** Handle of a socket, as far as it can be told to wait. */
type ReadHandle = { reading?: boolean; readStart(): void; readStop(): void }

/**
 * The requests of one connection, parsed by node's own parser as strictly as node:http does (llhttp without any leniency, the same bound of
 * the head), which reads the socket itself: no stream, no message objects.
 */
export class RequestParser {
  readonly #parser = new HTTPParser()
  readonly #handle: ReadHandle
  /** Fields, and the target, that came in pieces. */
  #headers: string[] = []
  #url = ''

  constructor(socket: Socket, maxHeaderBytes: number, events: RequestEvents) {
    const parser = this.#parser
    parser.initialize(HTTPParser.REQUEST, {}, maxHeaderBytes, HTTPParser.kLenientNone)
    parser[HTTPParser.kOnHeaders] = (headers, url) => {
      for (const text of headers) this.#headers.push(text)
      this.#url += url
    }
    parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, method, url, _s, _m, upgrade, keepAlive) => {
      if (headers === undefined) {
        headers = this.#headers
        this.#headers = []
      }
      if (url === undefined) {
        url = this.#url
        this.#url = ''
      }
      events.onRequest({
        method: methodNames[method] ?? '',
        url,
        httpVersionMinor: major === 1 ? minor : -1,
        rawHeaders: headers,
        // After one that asks for another protocol the parser stops, and what follows is not parsed.
        keepAlive: keepAlive && !upgrade,
      })
      return 0
    }
    parser[HTTPParser.kOnBody] = (chunk) => events.onBody(chunk)
    parser[HTTPParser.kOnMessageComplete] = () => {
      const trailers = this.#headers
      if (trailers.length > 0) {
        this.#headers = []
        this.#url = ''
      }
      events.onComplete(trailers)
    }
    parser[HTTPParser.kOnExecute] = (result) => {
      if (typeof result === 'number') events.onRead(result, undefined)
      else {
        const { code, bytesParsed } = result as { code?: unknown; bytesParsed?: unknown }
        events.onRead(Number(bytesParsed) || 0, String(code))
      }
    }
    this.#handle = (socket as unknown as { _handle: ReadHandle })._handle
    parser.consume(this.#handle)
  }

  /** To be told only while the socket is open. */
  set reading(reading: boolean) {
    if (this.#handle.reading === reading) return
    this.#handle.reading = reading
    if (reading) this.#handle.readStart()
    else this.#handle.readStop()
  }

  /** Not to be called by an event of it. */
  close(): void {
    this.#parser.close()
  }
}

/** By the parser's numbers, which node does not export: found out by parsing each. */
const methodNames: readonly string[] = namesByNumber()

function namesByNumber(): string[] {
  const names: string[] = []
  for (const name of methods) {
    const parser = new HTTPParser()
    parser.initialize(HTTPParser.REQUEST, {}, 0, HTTPParser.kLenientNone)
    parser[HTTPParser.kOnHeadersComplete] = (_major, _minor, _headers, method) => {
      names[method] = name
      return 0
    }
    parser.execute(Buffer.from(`${name} ${name === 'CONNECT' ? 'a:1' : '/'} HTTP/1.1\r\n\r\n`))
    parser.close()
  }
  return names
}
