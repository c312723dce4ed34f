import type { Socket } from 'node:net'
import type { HttpServer } from './http-server.ts'
import { type HttpTransaction, windowBytes } from './http-transaction.ts'
import { type ParsedRequest, type RequestEvents, RequestParser } from './request-parser.ts'

/** What a connection waits for, and so how long it may. */
type Phase =
  /** A request's head; nothing of it has come yet. */
  | 'idle'
  /** The rest of a head. */
  | 'head'
  /** A request is being answered, or its body still coming. */
  | 'busy'
  /** The client's end of the connection; what it still sends is thrown away. */
  | 'closing'

const parseFailures: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  TIMEOUT: '408 Request Timeout',
}

/**
 * A client's connection: its requests one after the other, also when the client sends them without waiting. While one is being answered the
 * next ones wait parsed, and no more is read.
 */
export class HttpConnection implements RequestEvents {
  readonly #server: HttpServer
  readonly #socket: Socket
  readonly #parser: RequestParser
  #current: HttpTransaction | undefined
  /** Its body is still coming. */
  #receiving: HttpTransaction | undefined
  readonly #queue: HttpTransaction[] = []
  #phase: Phase = 'idle'
  #sinceMs: number
  /** No request is taken after those that are here. */
  #last = false
  /** Answered once those before are; then the connection ends. */
  #failure: string | undefined
  #discarded = 0
  #text = ''
  #parts: (string | Uint8Array)[] = []
  /** The socket may still read them. */
  #sending: Uint8Array[] = []
  #flushing = false
  #scheduled = false

  constructor(server: HttpServer, socket: Socket) {
    this.#server = server
    this.#socket = socket
    this.#sinceMs = server.nowMs
    socket.on('error', () => {})
    socket.on('drain', () => {
      this.#sent()
      this.#current?.drained()
    })
    socket.on('end', () => this.#ended())
    socket.on('close', () => this.#closed())
    this.#parser = new RequestParser(socket, server.options.maxHeaderBytes, this)
  }

  /** What keeps it open, as header lines and the empty line; `undefined`: it ends with the current response. */
  get keepAlive(): string | undefined {
    return this.#last ? undefined : this.#server.keepAlive
  }
  get date(): string {
    return this.#server.date
  }
  /** Bytes that the socket holds because the client does not take them. */
  get unsent(): number {
    return this.#socket.writableLength
  }

  onRequest(parsed: ParsedRequest): void {
    if (this.#phase === 'closing' || this.#failure !== undefined) return
    if (parsed.method === '' || parsed.method === 'PRI' || parsed.httpVersionMinor < 0) {
      this.#fail('HPE_INVALID_METHOD')
      return
    }
    const transaction = this.#server.accept(this, parsed)
    this.#receiving = transaction
    this.#enter('busy')
    if (this.#current === undefined) {
      this.#current = transaction
      transaction.start()
    } else this.#queue.push(transaction)
  }

  onBody(chunk: Uint8Array): void {
    const receiving = this.#receiving
    if (receiving === undefined) return
    if (!receiving.ended || receiving !== this.#current) receiving.onChunk(chunk)
    else this.#discard(chunk.byteLength)
  }

  onComplete(trailers: readonly string[]): void {
    const receiving = this.#receiving
    this.#receiving = undefined
    if (receiving === undefined) return
    receiving.received = true
    this.#discarded = 0
    receiving.onReceived(trailers)
    if (receiving === this.#current && receiving.sent) this.#next()
  }

  onRead(bytes: number, error: string | undefined): void {
    if (this.#phase === 'closing') this.#discard(bytes)
    else if (error !== undefined) this.#fail(error)
    else if (this.#phase === 'idle') this.#enter('head')
    this.updateReading()
  }

  /** Reads on, or no more, as those who take what is read can. */
  updateReading(): void {
    if (this.#socket.destroyed) return
    this.#parser.reading = this.#queue.length === 0 && this.#receiving?.full !== true
  }

  /** Appends to what goes out with the next flush; latin-1. */
  text(text: string): void {
    this.#text += text
  }

  bytes(bytes: Uint8Array): void {
    if (this.#text !== '') {
      this.#parts.push(this.#text)
      this.#text = ''
    }
    this.#parts.push(bytes)
  }

  /** At the end of this turn of the event loop. */
  flushLater(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#server.flushLater(this)
  }

  flush(): void {
    this.#scheduled = false
    if (this.#flushing || this.#socket.destroyed) return
    this.#flushing = true
    const current = this.#current
    current?.flush()
    this.#write()
    this.#flushing = false
    if (current === undefined) return
    if (!current.sent) current.drained()
    else if (current === this.#current) {
      if (current.received || current.close) this.#next()
      else this.updateReading()
    }
  }

  /** The client must see that what it has got is not all. @param unmarked nothing in what was sent says so */
  breakOff(unmarked: boolean): void {
    this.#text = ''
    this.#parts.length = 0
    if (unmarked) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  /** Takes no request after the present ones, or after one that comes before {@link endIdle}. */
  finish(): void {
    this.#last = true
  }

  endIdle(): void {
    if (this.#phase === 'idle') this.#endSoon()
  }

  cut(): void {
    this.#socket.destroy()
  }

  /** Ends what has taken too long. Called about every second. */
  checkTime(nowMs: number): void {
    const { headTimeoutMs, bodyTimeoutMs, keepAliveTimeoutMs, lingerMs } = this.#server.options
    const tookMs = nowMs - this.#sinceMs
    switch (this.#phase) {
      case 'idle':
        if (tookMs < keepAliveTimeoutMs) return
        // It did not take the last response either.
        if (this.unsent > 0) this.#socket.destroy()
        else this.#endSoon()
        return
      case 'head':
        if (tookMs >= headTimeoutMs) this.#fail('TIMEOUT')
        return
      case 'busy':
        if (this.#receiving !== undefined && tookMs >= bodyTimeoutMs) this.#socket.destroy()
        return
      case 'closing':
        if (tookMs >= lingerMs) this.#socket.destroy()
    }
  }

  /** The answer was complete before: a little more is read, so that the client sees it, then the connection is cut. */
  #discard(bytes: number): void {
    this.#discarded += bytes
    if (this.#discarded > windowBytes) this.#socket.destroy()
  }

  #enter(phase: Phase): void {
    this.#phase = phase
    this.#sinceMs = this.#server.nowMs
  }

  /** The current request is done with. */
  #next(): void {
    const close = this.#current?.close === true
    this.#current = undefined
    if (close) {
      this.#queue.length = 0
      this.#endSoon()
      return
    }
    const next = this.#queue.shift()
    if (next !== undefined) {
      this.#current = next
      this.updateReading()
      next.start()
    } else if (this.#failure !== undefined) this.#sayFailure()
    else if (this.#last) this.#endSoon()
    else this.#enter('idle')
  }

  #fail(code: string): void {
    if (this.#phase === 'closing' || this.#failure !== undefined) return
    this.#failure = parseFailures[code] ?? '400 Bad Request'
    // What its body should have been is not there.
    const broken = this.#receiving
    this.#receiving = undefined
    if (broken !== undefined && broken !== this.#current) this.#queue.splice(this.#queue.indexOf(broken), 1)
    if (broken !== undefined && broken === this.#current) {
      if (!broken.begun) {
        // What was answered was answered to no request.
        this.#current = undefined
        broken.lost(new Error('the client broke off its request'))
        this.#sayFailure()
      } else if (broken.ended) {
        this.flush()
        this.#endSoon()
      } else this.#socket.destroy()
    } else if (this.#current === undefined) this.#sayFailure()
  }

  #sayFailure(): void {
    this.text(`HTTP/1.1 ${this.#failure}\r\nConnection: close\r\n\r\n`)
    this.#endSoon()
  }

  /** Sends what there is and says that nothing follows; the client may still be sending, and would lose it all if it were cut off now. */
  #endSoon(): void {
    if (this.#phase === 'closing') return
    this.#enter('closing')
    this.#discarded = 0
    this.#receiving = undefined
    this.#write()
    this.#socket.end()
    this.updateReading()
  }

  /** The client sends no more: as with node:http it is gone, unless it has its answer already. */
  #ended(): void {
    if (this.#phase === 'closing') {
      this.#socket.destroySoon()
      return
    }
    const current = this.#current
    if (current?.ended) this.flush()
    this.#endSoon()
    this.#socket.destroySoon()
    if (current !== undefined && this.#current === current) current.lost(new Error('the client is gone'))
    this.#dropQueue()
  }

  #closed(): void {
    this.#current?.lost(new Error('the client is gone'))
    this.#current = undefined
    this.#dropQueue()
    this.#server.forget(this)
    // Never from within the parser.
    setImmediate(() => this.#parser.close())
  }

  #dropQueue(): void {
    this.#queue.length = 0
  }

  #write(): void {
    const socket = this.#socket
    const text = this.#text
    if (this.#parts.length === 0) {
      if (text === '') return
      this.#text = ''
      socket.write(text, 'latin1')
      return
    }
    if (text !== '') this.#parts.push(text)
    this.#text = ''
    const parts = this.#parts
    this.#parts = []
    socket.cork()
    for (const part of parts) {
      if (typeof part === 'string') socket.write(part, 'latin1')
      else {
        socket.write(part)
        if (this.#server.onSent !== undefined) this.#sending.push(part)
      }
    }
    socket.uncork()
    this.#sent()
  }

  /** Hands back what was sent once the socket has no more of it. */
  #sent(): void {
    if (this.#sending.length === 0 || this.unsent > 0 || this.#socket.destroyed) return
    const sent = this.#sending
    this.#sending = []
    for (const bytes of sent) this.#server.onSent?.(bytes)
  }
}
