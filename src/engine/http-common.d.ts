/**
 * The HTTP/1.1 parser of node:http itself (llhttp), which node does not document. Only what `request-parser.ts` uses; the release of node is
 * pinned in package.json.
 */
declare module 'node:_http_common' {
  type HeadersComplete = (
    major: number,
    minor: number,
    /** Names and values in turn; `undefined` when they came in pieces, by `kOnHeaders`. */
    headers: string[] | undefined,
    method: number,
    url: string | undefined,
    statusCode: undefined,
    statusMessage: undefined,
    upgrade: boolean,
    shouldKeepAlive: boolean,
  ) => number

  export class HTTPParser {
    static readonly REQUEST: 1
    static readonly kLenientNone: 0
    static readonly kOnHeaders: 1
    static readonly kOnHeadersComplete: 2
    static readonly kOnBody: 3
    static readonly kOnMessageComplete: 4
    static readonly kOnExecute: 5
    1: (headers: string[], url: string) => void
    2: HeadersComplete
    3: (chunk: Buffer) => void
    4: () => void
    5: (result: number | Error) => void
    initialize(type: 1, resource: object, maxHeaderBytes: number, lenientFlags: number): void
    execute(bytes: Uint8Array): number | Error
    /** Reads a socket by itself from now on. */
    consume(handle: object): void
    unconsume(): void
    close(): void
  }
  export const methods: readonly string[]
}
