import type { IncomingMessage, ServerResponse } from 'node:http'
import { endResponse } from '../engine/end-response.ts'
import {
  Lane,
  type LaneParty,
  type LaneSender,
  type ToCell,
  type ToIngress,
  takeChunks,
  windowBytes,
} from '../engine/http-channel.ts'
import { answerPlainly } from '../engine/plain-answer.ts'
import type { RequestHead } from '../engine/request-head.ts'
import { responseHeaders } from '../engine/response-headers.ts'

/** The ingress's end of one request on a lane: node:http on one side, the cell's messages on the other. */
export class LaneRequest implements LaneParty<ToCell> {
  dirty = false
  readonly id: number
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #head: RequestHead
  readonly #sender: LaneSender<ToCell>
  readonly #maxBodyBytes: number
  readonly #onDone: (request: LaneRequest) => void

  #headSent = false
  #chunks: Uint8Array[] = []
  #received = 0
  #unacknowledged = 0
  #bodyEnded: boolean
  #endSent = false
  #trailers: readonly string[] | undefined
  #abortReason: string | undefined
  #credit = 0
  #draining = 0
  /** Bytes of the response that its Content-Length still promises; `undefined`: it has none. */
  #promised: number | undefined
  #bodyless = false
  #done = false

  constructor(
    id: number,
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    lane: { sender: LaneSender<ToCell>; maxBodyBytes: number; onDone(request: LaneRequest): void },
  ) {
    this.id = id
    this.#request = request
    this.#response = response
    this.#head = head
    this.#sender = lane.sender
    this.#maxBodyBytes = lane.maxBodyBytes
    this.#onDone = lane.onDone
    this.#bodyEnded = !head.hasBody
    if (head.hasBody) this.#readBody()
    response.on('error', () => {})
    response.on('close', () => {
      if (!this.#done) this.#abort('the client is gone')
    })
    this.#sender.touch(this)
  }

  collect(out: ToCell[], transfer: ArrayBuffer[]): void {
    const id = this.id
    if (this.#abortReason !== undefined) {
      if (this.#headSent) out.push([Lane.abort, id, this.#abortReason])
      return
    }
    const chunk = takeChunks(this.#chunks, transfer)
    if (!this.#headSent) {
      this.#headSent = true
      const { headers, authority, pathWithQuery } = this.#head
      const streaming = !this.#bodyEnded || this.#trailers !== undefined
      out.push([
        Lane.request,
        id,
        this.#request.method ?? 'GET',
        'http',
        authority,
        pathWithQuery,
        headers,
        chunk,
        streaming,
      ])
      if (!streaming) this.#endSent = true
    } else if (chunk !== undefined) out.push([Lane.data, id, chunk])
    if (this.#bodyEnded && !this.#endSent) {
      this.#endSent = true
      out.push([Lane.end, id, this.#trailers])
    }
    if (this.#credit > 0) {
      out.push([Lane.credit, id, this.#credit])
      this.#credit = 0
    }
  }

  receive(message: ToIngress): void {
    if (this.#done) return
    switch (message[0]) {
      case Lane.head:
        this.#begin(message[2], message[3], message[4], message[5], message[6])
        return
      case Lane.data:
        this.#write(message[2])
        return
      case Lane.end:
        this.#end(undefined, message[2])
        return
      case Lane.fail:
        this.fail(message[2], message[3], message[4])
        return
      case Lane.reset:
        this.#finish()
        this.#response.destroy()
        return
      case Lane.credit:
        this.#unacknowledged -= message[2]
        if (this.#unacknowledged < windowBytes / 2 && this.#request.isPaused()) this.#request.resume()
        return
      default:
    }
  }

  /** Ends the request with an answer of the host itself; a response already begun is broken off. */
  fail(status: number, code: string, reason: string, retryAfterS?: number): void {
    if (this.#done) return
    this.#finish()
    const close = !this.#bodyEnded
    answerPlainly(this.#response, {
      status,
      code,
      reason,
      retryAfterS: retryAfterS ?? (status === 503 ? 1 : undefined),
      close,
    })
    if (close) this.#request.resume()
  }

  #begin(
    status: number,
    headers: readonly string[],
    body: Uint8Array | string | undefined,
    ended: boolean,
    trailers: readonly string[] | undefined,
  ): void {
    const bodyless = this.#request.method === 'HEAD' || status === 204 || status === 304
    const complete = ended && trailers === undefined
    const checked = responseHeaders(headers, complete && !bodyless ? lengthOf(body) : undefined)
    if (typeof checked === 'string') {
      this.#refuse(checked)
      return
    }
    if (!bodyless) this.#promised = checked.contentLength
    if (complete && !bodyless && checked.contentLength !== lengthOf(body)) {
      this.#refuse('its Content-Length is not the length of its body')
      return
    }
    this.#bodyless = bodyless
    try {
      this.#response.writeHead(status, checked.headers)
    } catch {
      this.#refuse('its status or headers are not valid HTTP')
      return
    }
    if (ended) this.#end(body, trailers)
    else if (body !== undefined) this.#write(typeof body === 'string' ? Buffer.from(body, 'latin1') : body)
    else this.#response.flushHeaders()
  }

  #write(chunk: Uint8Array): void {
    const length = chunk.byteLength
    if (this.#promised !== undefined) {
      this.#promised -= length
      if (this.#promised < 0) {
        this.#breakOff('the body is longer than its Content-Length')
        return
      }
    }
    if (this.#bodyless || this.#response.write(chunk)) {
      this.#giveCredit(length)
      return
    }
    if (this.#draining === 0) {
      this.#response.once('drain', () => {
        const credit = this.#draining
        this.#draining = 0
        this.#giveCredit(credit)
      })
    }
    this.#draining += length
  }

  #end(body: Uint8Array | string | undefined, trailers: readonly string[] | undefined): void {
    if (this.#promised !== undefined && this.#promised !== lengthOf(body)) {
      this.#breakOff('the body is shorter than its Content-Length')
      return
    }
    this.#finish()
    if (trailers !== undefined && this.#promised === undefined && !this.#bodyless) {
      try {
        const pairs: [string, string][] = []
        for (let index = 0; index + 1 < trailers.length; index += 2)
          pairs.push([trailers[index]!, trailers[index + 1]!])
        this.#response.addTrailers(pairs)
      } catch {
        this.#response.destroy()
        return
      }
    }
    endResponse(this.#response, this.#bodyless ? undefined : body)
    if (!this.#bodyEnded) this.#leaveBody()
  }

  /** The answer came before the request's body was there: read a little of it so that the client sees the answer, then cut. */
  #leaveBody(): void {
    this.#request.removeAllListeners('data')
    let left = windowBytes
    this.#request.on('data', (chunk: Uint8Array) => {
      left -= chunk.byteLength
      if (left < 0) this.#request.destroy()
    })
    this.#request.resume()
  }

  #readBody(): void {
    const request = this.#request
    request.on('data', (chunk: Uint8Array) => {
      if (this.#done) return
      this.#received += chunk.byteLength
      if (this.#received > this.#maxBodyBytes) return this.#tooLarge()
      this.#chunks.push(chunk)
      this.#unacknowledged += chunk.byteLength
      if (this.#unacknowledged >= windowBytes) request.pause()
      this.#sender.touch(this)
    })
    request.on('end', () => {
      this.#bodyEnded = true
      if (request.rawTrailers.length > 0)
        this.#trailers = request.rawTrailers.map((text, index) => (index % 2 ? text : text.toLowerCase()))
      if (!this.#done) this.#sender.touch(this)
    })
    request.on('error', () => this.#abort('the client broke off its request'))
  }

  #tooLarge(): void {
    const reason = `the request body is larger than ${this.#maxBodyBytes} bytes`
    this.#abortReason = reason
    this.#sender.touch(this)
    this.fail(413, 'ERR_INGRESS_BODY_TOO_LARGE', reason)
  }

  #abort(reason: string): void {
    if (this.#done) return
    this.#abortReason = reason
    this.#sender.touch(this)
    this.#finish()
    this.#response.destroy()
  }

  /** The component's response head cannot be sent. */
  #refuse(reason: string): void {
    this.#abortReason = `the response was refused: ${reason}`
    this.#sender.touch(this)
    this.fail(502, 'ERR_INGRESS_RESPONSE_INVALID', `the component's response was refused: ${reason}`)
  }

  #breakOff(reason: string): void {
    this.#abort(`the response was broken off: ${reason}`)
  }

  #giveCredit(bytes: number): void {
    this.#credit += bytes
    if (this.#credit >= windowBytes / 4) this.#sender.touch(this)
  }

  #finish(): void {
    this.#done = true
    this.#chunks.length = 0
    this.#onDone(this)
  }
}

function lengthOf(body: Uint8Array | string | undefined): number {
  return body === undefined ? 0 : body.length
}
