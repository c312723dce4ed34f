import type { MessagePort } from 'node:worker_threads'

/**
 * What an ingress thread and a cell say to each other about HTTP. There are two ports: the *gate* that `Cell.connectHttp` returns lives
 * as long as the cell's supervisor and tells the ingress which *lane* to use; a lane leads straight to the cell's present thread and closes
 * with it. All messages of one turn of the event loop travel in one array, so that their order holds and a wake-up carries many.
 *
 * Bodies have credit: a side may have `windowBytes` sent and not yet credited; the receiver credits what it has passed on.
 */
export const windowBytes = 256 * 1024

/** Control thread → ingress, on the gate. */
export type GateMessage =
  | {
      readonly kind: 'lane'
      readonly port: MessagePort
      readonly maxBodyBytes: number
      readonly requestTimeoutMs: number
    }
  /** No lane for now (`restarting`), or no more (`failed`, `stopped`); answer 503 with this reason. */
  | { readonly kind: 'down'; readonly reason: string; readonly retryAfterS: number | undefined }
  /** The cell's thread is to end as long as nobody needs it: unless requests are in flight, let go of the lane, and hold what comes. */
  | { readonly kind: 'rest'; readonly turn: number }

/**
 * Ingress → control thread, on the gate. `retired`: no request is sent any more; the gate closes with the last one in flight.
 * `resting` and `busy` answer `rest`; `wake`: while resting a request came, and is held until there is a lane.
 */
export type GateReply =
  | { readonly kind: 'retired' | 'wake' }
  /** To the `rest` of that turn. */
  | { readonly kind: 'resting' | 'busy'; readonly turn: number }

/** Names and values in turn: `[name, value, name, value]`. */
export type FlatHeaders = readonly string[]

export const Lane = { request: 0, data: 1, end: 2, abort: 3, credit: 4, head: 5, fail: 6, reset: 7 } as const

/** Ingress → cell. `id` is unique per lane. */
export type ToCell =
  | readonly [
      typeof Lane.request,
      id: number,
      method: string,
      scheme: 'http' | 'https',
      authority: string,
      pathWithQuery: string,
      headers: FlatHeaders,
      /** Whole body when it came with the head; `undefined`: none, or more follows as `data` (see `streaming`). */
      body: Uint8Array | undefined,
      streaming: boolean,
    ]
  | readonly [typeof Lane.data, id: number, chunk: Uint8Array]
  | readonly [typeof Lane.end, id: number, trailers: FlatHeaders | undefined]
  | readonly [typeof Lane.abort, id: number, reason: string]
  | readonly [typeof Lane.credit, id: number, bytes: number]

/** Cell → ingress. */
export type ToIngress =
  | readonly [
      typeof Lane.head,
      id: number,
      status: number,
      headers: FlatHeaders,
      /** What of the body is there already; a short one that is complete as a latin-1 string, which crosses threads cheaper. */
      body: Uint8Array | string | undefined,
      /** The response ends with it; trailers, if any, follow. */
      ended: boolean,
      trailers: FlatHeaders | undefined,
    ]
  | readonly [typeof Lane.data, id: number, chunk: Uint8Array]
  | readonly [typeof Lane.end, id: number, trailers: FlatHeaders | undefined]
  /** No head was sent: answer with this status and reason. */
  | readonly [typeof Lane.fail, id: number, status: number, code: string, reason: string]
  /** Break off after the head: the client must see an incomplete response. */
  | readonly [typeof Lane.reset, id: number, reason: string]
  | readonly [typeof Lane.credit, id: number, bytes: number]

/** One request's end of a lane: what it has to say is collected once per turn of the event loop. */
export interface LaneParty<Message> {
  /** Set by the sender: collected at the end of this turn. */
  dirty: boolean
  /** Appends what there is to say, and the buffers to move instead of copy. */
  collect(out: Message[], transfer: ArrayBuffer[]): void
}

/** Posts all that was said in one turn of the event loop as one message. */
export class LaneSender<Message> {
  readonly #port: Pick<MessagePort, 'postMessage'>
  #dirty: LaneParty<Message>[] = []
  readonly #flush = (): void => {
    const dirty = this.#dirty
    this.#dirty = []
    const batch: Message[] = []
    const transfer: ArrayBuffer[] = []
    for (const party of dirty) {
      party.dirty = false
      party.collect(batch, transfer)
    }
    if (batch.length > 0) this.#port.postMessage(batch, transfer)
  }

  constructor(port: Pick<MessagePort, 'postMessage'>) {
    this.#port = port
  }

  touch(party: LaneParty<Message>): void {
    if (party.dirty) return
    party.dirty = true
    if (this.#dirty.push(party) === 1) setImmediate(this.#flush)
  }
}

/** Chunks below this size are copied; larger ones that own their buffer are moved between threads. */
const moveFromBytes = 16_384

/**
 * All `chunks` as one that owns its buffer (structured clone copies whole buffers, not views), listed in `transfer` when moving pays.
 * Empties `chunks`.
 */
export function takeChunks(chunks: Uint8Array[], transfer: ArrayBuffer[]): Uint8Array | undefined {
  const first = chunks[0]
  if (first === undefined) return undefined
  let whole = first
  if (chunks.length > 1 || first.byteLength !== first.buffer.byteLength) {
    whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0))
    let at = 0
    for (const chunk of chunks) {
      whole.set(chunk, at)
      at += chunk.byteLength
    }
  }
  chunks.length = 0
  if (whole.byteLength >= moveFromBytes) transfer.push(whole.buffer as ArrayBuffer)
  return whole
}
