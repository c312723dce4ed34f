import { pairsOf, withLowercaseNames } from '../engine/header-pairs.ts'
import {
  Lane,
  type LaneParty,
  type LaneSender,
  type ToCell,
  type ToIngress,
  takeChunks,
  windowBytes,
} from '../engine/http-channel.ts'
import type { HttpConnection } from '../engine/http-connection.ts'
import type { PlainAnswer } from '../engine/plain-answer.ts'
import type { RequestHead } from '../engine/request-head.ts'
import type { ParsedRequest } from '../engine/request-parser.ts'
import { type Watch, WatchedTransaction } from '../engine/watched-transaction.ts'

export type IngressRules = Watch & {
  /** Why nobody gets a request. */
  refusal(head: RequestHead): PlainAnswer | undefined
  /** Finds who gets a request that was not refused. */
  forward(request: LaneRequest, head: RequestHead): void
}

/** The lane that a request goes by. */
export type TakenLane = {
  readonly sender: LaneSender<ToCell>
  readonly maxBodyBytes: number
  /** Called once, when the cell has no more to say about it. */
  onDone(request: LaneRequest): void
}

/** The ingress's end of one request on a lane: a client's connection on one side, the cell's messages on the other. */
export class LaneRequest extends WatchedTransaction implements LaneParty<ToCell> {
  dirty = false
  /** On its lane. */
  id = 0
  readonly #connection: HttpConnection
  readonly #rules: IngressRules
  #lane: TakenLane | undefined
  #headSent = false
  #chunks: Uint8Array[] = []
  /** Bytes of the request's body that have come. */
  #taken = 0
  /** Of those, bytes that the cell has not passed on. */
  #unacknowledged = 0
  #endSent = false
  #trailers: readonly string[] | undefined
  #abortReason: string | undefined
  /** Bytes of the response that have come and are not yet credited. */
  #owed = 0
  #credit = 0
  #over = false

  constructor(connection: HttpConnection, request: ParsedRequest, rules: IngressRules) {
    super(connection, request, rules)
    this.#connection = connection
    this.#rules = rules
  }

  protected override refusal(head: RequestHead): PlainAnswer | undefined {
    return this.#rules.refusal(head)
  }

  protected override proceed(head: RequestHead): void {
    this.#rules.forward(this, head)
  }

  /** Its cell is known. */
  enter(id: number, lane: TakenLane): void {
    this.id = id
    this.#lane = lane
    if (this.head?.expectsContinue) this.continue()
    if (this.#taken > lane.maxBodyBytes) this.#tooLarge(lane.maxBodyBytes)
    else lane.sender.touch(this)
  }

  /** An answer of the host itself, to a request that no cell has. */
  refuse(answer: PlainAnswer): void {
    this.#over = true
    this.answer(answer)
  }

  override get full(): boolean {
    return !this.ended && this.#unacknowledged >= windowBytes
  }

  override onChunk(chunk: Uint8Array): void {
    if (this.#over) return
    this.#taken += chunk.byteLength
    const { maxBodyBytes = Number.POSITIVE_INFINITY } = this.#lane ?? {}
    if (this.#taken > maxBodyBytes) {
      this.#tooLarge(maxBodyBytes)
      return
    }
    this.#chunks.push(chunk)
    this.#unacknowledged += chunk.byteLength
    this.#touch()
  }

  override onReceived(trailers: readonly string[]): void {
    if (trailers.length > 0) this.#trailers = withLowercaseNames(trailers)
    if (this.head?.hasBody) this.#touch()
  }

  protected override onLost(reason: Error): void {
    this.#leave(reason.message)
  }

  protected override onBroken(reason: string): void {
    this.#leave(`the response was refused: ${reason}`)
  }

  collect(out: ToCell[], transfer: ArrayBuffer[]): void {
    const { id, head } = this
    if (this.#abortReason !== undefined) {
      // Of what was given up before it went out nobody knows.
      if (this.#headSent) out.push([Lane.abort, id, this.#abortReason])
      return
    }
    const ended = this.received || head?.hasBody !== true
    const chunk = takeChunks(this.#chunks, transfer)
    if (!this.#headSent && head !== undefined) {
      this.#headSent = true
      const { headers, authority, pathWithQuery } = head
      const streaming = !ended || this.#trailers !== undefined
      out.push([Lane.request, id, this.method, 'http', authority, pathWithQuery, headers, chunk, streaming])
      if (!streaming) this.#endSent = true
    } else if (chunk !== undefined) out.push([Lane.data, id, chunk])
    if (ended && !this.#endSent) {
      this.#endSent = true
      out.push([Lane.end, id, this.#trailers])
    }
    if (this.#credit > 0) {
      out.push([Lane.credit, id, this.#credit])
      this.#credit = 0
    }
  }

  receive(message: ToIngress): void {
    switch (message[0]) {
      case Lane.head: {
        const [, , status, headers, body, ended, trailers] = message
        this.begin(status, pairsOf(headers))
        if (body !== undefined) this.#respond(body)
        if (ended) this.#end(trailers)
        return
      }
      case Lane.data:
        this.#respond(message[2])
        return
      case Lane.end:
        this.#end(message[2])
        return
      case Lane.fail:
        this.fail(message[2], message[3], message[4])
        return
      case Lane.reset:
        this.fail(500, 'ERR_COMPONENT_TRAP', message[2])
        return
      case Lane.credit:
        this.#unacknowledged -= message[2]
        if (this.#unacknowledged < windowBytes / 2) this.#connection.updateReading()
        return
      default:
    }
  }

  /** Ends the request with an answer of the host itself; a response already begun is broken off. */
  fail(status: number, code: string, reason: string, retryAfterS = status === 503 ? 1 : undefined): void {
    if (this.ended) return
    this.#leave(undefined)
    this.answer({ status, code, reason, retryAfterS, close: !this.received })
  }

  /** What has left for the client may come from the cell again. */
  override drained(): void {
    super.drained()
    const passed = this.#owed - this.unsent
    if (passed < windowBytes / 4 || this.ended) return
    this.#owed -= passed
    this.#credit += passed
    this.#touch()
  }

  #respond(body: Uint8Array | string): void {
    if (body.length === 0) return
    this.#owed += body.length
    this.add(body)
  }

  #end(trailers: readonly string[] | undefined): void {
    this.finish(trailers && pairsOf(trailers))
    this.#leave(undefined)
  }

  #tooLarge(maxBodyBytes: number): void {
    const reason = `the request body is larger than ${maxBodyBytes} bytes`
    this.#leave(reason)
    this.answer({ status: 413, code: 'ERR_INGRESS_BODY_TOO_LARGE', reason, close: true })
  }

  /** The cell has no more to say. @param abortReason what it is told, unless it knows */
  #leave(abortReason: string | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#chunks.length = 0
    if (abortReason !== undefined) {
      this.#abortReason = abortReason
      this.#lane?.sender.touch(this)
    }
    this.#lane?.onDone(this)
  }

  #touch(): void {
    if (!this.#over) this.#lane?.sender.touch(this)
  }
}
