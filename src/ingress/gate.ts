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

/** One component in one cell, as an ingress thread sees it. */
export class Gate {
  readonly #port: MessagePort
  #lane: OpenLane | undefined
  #down: { reason: string; retryAfterS: number | undefined } = { reason: 'the workload is starting', retryAfterS: 1 }
  #nextId = 1
  #closing = false

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: GateMessage) => {
      if (message.kind === 'lane') this.#open(message)
      else this.#down = message
    })
    port.on('close', () => {
      this.#down = { reason: 'the workload was stopped', retryAfterS: undefined }
      this.#lane?.port.close()
    })
  }

  get up(): boolean {
    return this.#lane !== undefined
  }

  get inFlight(): number {
    return this.#lane?.requests.size ?? 0
  }

  forward(request: IncomingMessage, response: ServerResponse, head: RequestHead): void {
    const lane = this.#lane
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
