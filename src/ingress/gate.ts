import type { IncomingMessage, ServerResponse } from 'node:http'
import type { MessagePort } from 'node:worker_threads'
import { type GateMessage, type GateReply, LaneSender, type ToCell, type ToIngress } from '../engine/http-channel.ts'
import { answerPlainly } from '../engine/plain-answer.ts'
import type { RequestHead } from '../engine/request-head.ts'
import { LaneRequest } from './lane-request.ts'

type OpenLane = {
  readonly port: MessagePort
  readonly sender: LaneSender<ToCell>
  readonly maxBodyBytes: number
  readonly requests: Map<number, LaneRequest>
}

/** Longest wait for a cell's first word, ms, and most requests that wait for it. */
const firstWordMs = 1_000
const maxEarly = 1_000

/** One component in one cell, as an ingress thread sees it. */
export class Gate {
  readonly #port: MessagePort
  #lane: OpenLane | undefined
  #down: { reason: string; retryAfterS: number | undefined } = { reason: 'the workload is starting', retryAfterS: 1 }
  /** Requests that came before the cell's first word, which is on its way when the gate is made; `undefined` once it is there. */
  #early: (() => void)[] | undefined = []
  #nextId = 1
  #closing = false

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: GateMessage) => {
      if (message.kind === 'lane') this.#open(message)
      else this.#down = message
      this.#answerEarly()
    })
    port.on('close', () => {
      this.#down = { reason: 'the workload was stopped', retryAfterS: undefined }
      this.#lane?.port.close()
      this.#answerEarly()
    })
    setTimeout(() => this.#answerEarly(), firstWordMs).unref()
  }

  get up(): boolean {
    return this.#lane !== undefined
  }

  get inFlight(): number {
    return this.#lane?.requests.size ?? 0
  }

  forward(request: IncomingMessage, response: ServerResponse, head: RequestHead): void {
    const lane = this.#lane
    if (lane === undefined && this.#early !== undefined && this.#early.length < maxEarly) {
      this.#early.push(() => this.forward(request, response, head))
      return
    }
    if (lane === undefined) {
      answerPlainly(response, { status: 503, code: 'ERR_CELL_ENDED', ...this.#down, close: head.hasBody })
      return
    }
    if ((head.contentLength ?? 0) > lane.maxBodyBytes) {
      const reason = `the request body is larger than ${lane.maxBodyBytes} bytes`
      answerPlainly(response, { status: 413, code: 'ERR_INGRESS_BODY_TOO_LARGE', reason, close: true })
      return
    }
    if (head.expectsContinue) response.writeContinue()
    const id = this.#nextId++
    const onDone = ({ id }: LaneRequest): void => {
      lane.requests.delete(id)
      if (this.#closing && lane.requests.size === 0) this.#port.close()
    }
    lane.requests.set(id, new LaneRequest(id, request, response, head, { ...lane, onDone }))
  }

  /** Takes no more requests; those in flight go on. */
  close(): void {
    this.#closing = true
    // Closing the port ends the lane, and what is in flight with it: the last request does it.
    if (this.inFlight === 0) this.#port.close()
    else this.#port.postMessage({ kind: 'retired' } satisfies GateReply)
  }

  #answerEarly(): void {
    const early = this.#early
    this.#early = undefined
    for (const forward of early ?? []) forward()
  }

  #open({ port, maxBodyBytes }: Extract<GateMessage, { kind: 'lane' }>): void {
    const lane: OpenLane = { port, maxBodyBytes, sender: new LaneSender<ToCell>(port), requests: new Map() }
    this.#lane = lane
    port.on('message', (batch: ToIngress[]) => {
      for (const message of batch) lane.requests.get(message[1])?.receive(message)
    })
    port.on('close', () => {
      if (this.#lane === lane) this.#lane = undefined
      // The gate tells why; its message was sent before the thread ended.
      setImmediate(() => {
        for (const request of lane.requests.values())
          request.fail(503, 'ERR_CELL_ENDED', this.#down.reason, this.#down.retryAfterS)
      })
    })
  }
}
