import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { CellThread } from './cell-thread.ts'
import type { ComponentLimits } from './engine.ts'
import type { GateMessage, GateReply } from './http-channel.ts'

/** Longest wait for ingress threads to say whether a cell may be parked, ms: one that does not answer has requests to care for. */
const letGoMs = 2_000

/** What the gates of a cell are told, those that come later too. */
export type GateNews =
  | { readonly kind: 'up'; readonly thread: CellThread }
  | { readonly kind: 'parked' }
  | { readonly kind: 'down'; readonly reason: string; readonly retryAfterS: number | undefined }

type Gate = { readonly component: string; retired: boolean; resting: boolean; turn: number }

/** The control thread's ends of all gates of one cell: every route of every ingress thread has one, from its start to its last request. */
export class CellGates {
  readonly #limitsOf: (component: string) => ComponentLimits
  readonly #onWake: () => void
  readonly #gates = new Map<MessagePort, Gate>()
  #news: GateNews = { kind: 'down', reason: 'starting', retryAfterS: 1 }
  #lettingGo: PromiseWithResolvers<boolean> | undefined

  /** @param onWake a request came while the cell was parked, or about to be */
  constructor({ limitsOf, onWake }: { limitsOf: (component: string) => ComponentLimits; onWake: () => void }) {
    this.#limitsOf = limitsOf
    this.#onWake = onWake
  }

  /** A gate is open as long as its route exists or a request of it is in flight, on its way to the guest too. */
  get open(): boolean {
    return this.#gates.size > 0
  }

  /** No ingress thread sends new requests any more. */
  get routesGone(): boolean {
    return [...this.#gates.values()].every(({ retired }) => retired)
  }

  /** @returns the end for the ingress thread */
  connect(component: string): MessagePort {
    const { port1, port2 } = new MessageChannel()
    const gate: Gate = { component, retired: false, resting: false, turn: 0 }
    port1.on('close', () => {
      this.#gates.delete(port1)
      this.#settleLettingGo()
    })
    port1.on('message', (reply: GateReply) => this.#hear(gate, reply))
    port1.unref()
    this.#gates.set(port1, gate)
    // One that did not hear the question cannot have answered it.
    this.#lettingGo?.resolve(false)
    this.#tell(port1, gate)
    return port2
  }

  announce(news: GateNews): void {
    this.#news = news
    for (const [port, gate] of this.#gates) this.#tell(port, gate)
  }

  /**
   * Asks all ingress threads to send no request on the present lanes, and to hold those that come.
   * @returns whether all do; if not, those that do have got a new lane already.
   */
  async letGo(): Promise<boolean> {
    const asked = Promise.withResolvers<boolean>()
    this.#lettingGo = asked
    for (const [port, gate] of this.#gates) post(port, { kind: 'rest', turn: ++gate.turn })
    this.#settleLettingGo()
    const timer = setTimeout(() => asked.resolve(false), letGoMs)
    const gone = await asked.promise
    clearTimeout(timer)
    this.#lettingGo = undefined
    if (!gone) this.rouse()
    return gone
  }

  /** Gives a lane to those who had let go. */
  rouse(): void {
    for (const [port, gate] of this.#gates) if (gate.resting) this.#tell(port, gate)
  }

  close(): void {
    for (const port of this.#gates.keys()) port.close()
    this.#gates.clear()
    this.#lettingGo?.resolve(false)
  }

  #hear(gate: Gate, reply: GateReply): void {
    // It has been told otherwise since.
    if ('turn' in reply && reply.turn !== gate.turn) return
    switch (reply.kind) {
      case 'retired':
        gate.retired = true
        return
      case 'resting':
        gate.resting = true
        this.#settleLettingGo()
        return
      case 'busy':
        this.#lettingGo?.resolve(false)
        return
      case 'wake':
        this.#lettingGo?.resolve(false)
        this.#onWake()
    }
  }

  #settleLettingGo(): void {
    if ([...this.#gates.values()].every(({ resting }) => resting)) this.#lettingGo?.resolve(true)
  }

  #tell(port: MessagePort, gate: Gate): void {
    const news = this.#news
    if (news.kind === 'parked' && gate.resting) return
    gate.resting = false
    gate.turn += 1
    switch (news.kind) {
      case 'up': {
        const { port1, port2 } = new MessageChannel()
        const { maxBodyBytes, requestTimeoutMs } = this.#limitsOf(gate.component)
        news.thread.post({ kind: 'lane', component: gate.component, port: port1 }, [port1])
        post(port, { kind: 'lane', port: port2, maxBodyBytes, requestTimeoutMs }, [port2])
        return
      }
      case 'parked':
        post(port, { kind: 'rest', turn: gate.turn })
        return
      case 'down':
        post(port, news)
    }
  }
}

function post(port: MessagePort, message: GateMessage, transfer: MessagePort[] = []): void {
  port.postMessage(message, transfer)
}
