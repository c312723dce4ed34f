import type { MessagePort } from 'node:worker_threads'
import { type GateMessage, type GateReply, LaneSender, type ToCell, type ToIngress } from '../engine/http-channel.ts'
import { LaneTable } from '../engine/lane-table.ts'
import type { RequestHead } from '../engine/request-head.ts'
import type { LaneRequest } from './lane-request.ts'

type OpenLane = {
  readonly port: MessagePort
  readonly sender: LaneSender<ToCell>
  readonly maxBodyBytes: number
  readonly requests: LaneTable<LaneRequest>
}

/** Longest wait for a cell's first word, ms. */
const firstWordMs = 1_000
/** Longest wait for a cell that rests; it says itself when it cannot be had, so this is for a control thread that hangs. */
const wakeMs = 35_000
/** Most requests that wait. */
const maxHeld = 1_000

/** One component in one cell, as an ingress thread sees it. */
export class Gate {
  readonly #port: MessagePort
  #lane: OpenLane | undefined
  #down: { reason: string; retryAfterS: number | undefined } = { reason: 'the workload is starting', retryAfterS: 1 }
  /** Requests are held: the cell's first word is on its way, or it rests. */
  #holding = true
  #resting = false
  #held: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #closing = false

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: GateMessage) => {
      if (message.kind === 'rest') this.#rest(message.turn)
      else {
        if (message.kind === 'lane') this.#open(message)
        else this.#down = message
        this.#release()
      }
    })
    port.on('close', () => {
      this.#down = { reason: 'the workload was stopped', retryAfterS: undefined }
      this.#lane?.port.close()
      this.#release()
    })
    this.#hold(firstWordMs)
  }

  get up(): boolean {
    return this.#lane !== undefined
  }

  /** It has no lane because its cell has nothing to do. */
  get resting(): boolean {
    return this.#resting
  }

  get inFlight(): number {
    return this.#lane?.requests.size ?? 0
  }

  forward(request: LaneRequest, head: RequestHead): void {
    const lane = this.#lane
    if (lane === undefined && this.#holding && this.#held.length < maxHeld) {
      const forward = () => {
        if (!request.ended) this.forward(request, head)
      }
      if (this.#held.push(forward) === 1) this.wake()
      return
    }
    if (lane === undefined) {
      request.refuse({ status: 503, code: 'ERR_CELL_ENDED', ...this.#down, close: head.hasBody })
      return
    }
    if ((head.contentLength ?? 0) > lane.maxBodyBytes) {
      const reason = `the request body is larger than ${lane.maxBodyBytes} bytes`
      request.refuse({ status: 413, code: 'ERR_INGRESS_BODY_TOO_LARGE', reason, close: true })
      return
    }
    const onDone = ({ id }: LaneRequest): void => {
      lane.requests.delete(id)
      if (this.#closing && lane.requests.size === 0) this.#port.close()
    }
    request.enter(lane.requests.nextId(), { ...lane, onDone })
    if (!request.ended) lane.requests.add(request)
  }

  /** While it rests: asks for the cell without having a request for it yet. */
  wake(): void {
    if (!this.#resting) return
    this.#hold(wakeMs)
    this.#port.postMessage({ kind: 'wake' } satisfies GateReply)
  }

  /** Takes no more requests; those in flight go on. */
  close(): void {
    this.#closing = true
    // Closing the port ends the lane, and what is in flight with it: the last request does it.
    if (this.inFlight + this.#held.length === 0) this.#port.close()
    else this.#port.postMessage({ kind: 'retired' } satisfies GateReply)
  }

  /** No request is on its way to the cell: the thread behind the lane may end. */
  #rest(turn: number): void {
    if (this.inFlight > 0) {
      this.#port.postMessage({ kind: 'busy', turn } satisfies GateReply)
      return
    }
    this.#lane?.port.close()
    this.#lane = undefined
    this.#down = { reason: 'the workload is being woken', retryAfterS: 1 }
    this.#port.postMessage({ kind: 'resting', turn } satisfies GateReply)
    clearTimeout(this.#timer)
    this.#holding = true
    this.#resting = true
    if (this.#held.length > 0) this.wake()
  }

  #hold(forMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#release(), forMs).unref()
  }

  #release(): void {
    clearTimeout(this.#timer)
    this.#holding = false
    this.#resting = false
    const held = this.#held
    this.#held = []
    for (const forward of held) forward()
    if (this.#closing && this.inFlight === 0) this.#port.close()
  }

  #open({ port, maxBodyBytes }: Extract<GateMessage, { kind: 'lane' }>): void {
    const lane: OpenLane = { port, maxBodyBytes, sender: new LaneSender<ToCell>(port), requests: new LaneTable() }
    this.#lane = lane
    port.on('message', (batch: ToIngress[]) => {
      for (const message of batch) lane.requests.get(message[1])?.receive(message)
    })
    port.on('close', () => {
      if (this.#lane === lane) this.#lane = undefined
      // The gate tells why; its message was sent before the thread ended.
      setImmediate(() => {
        for (const request of lane.requests.all())
          request.fail(503, 'ERR_CELL_ENDED', this.#down.reason, this.#down.retryAfterS)
      })
    })
  }
}
