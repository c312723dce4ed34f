import { isHeraldError } from '../../errors/herald-error.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { Lattice } from '../../lattice/lattice.ts'
import { matchesPattern, parseInbox, parseOpenSubject } from '../../lattice/open-subjects.ts'
import type { Subject } from '../../lattice/subjects.ts'
import type { Log } from '../../observability/log.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { Inflow } from './inflow.ts'
import type { BrokerMessage, HandledBatch, MessagingAnswer } from './message-batch.ts'
import type { MessagingEntry } from './messaging-config.ts'

export type MessagingBindingOptions = {
  readonly component: ComponentFacts
  readonly entries: readonly MessagingEntry[]
  /** Stays its owner's. */
  readonly lattice: Lattice
  readonly log: Log
  readonly onRelease: () => void
}

const maxRequestMs = 60_000

/** One component's `wasmcloud:messaging` on the control thread: what comes in, what may go out. */
export class MessagingBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'messaging-cell')
  readonly config = undefined
  readonly #options: MessagingBindingOptions
  readonly #inflows: readonly Inflow[]
  #send: ((message: unknown) => void) | undefined

  constructor(options: MessagingBindingOptions) {
    this.#options = options
    const { component, entries, lattice } = options
    const { namespace, workloadName, componentName } = component
    const log = options.log.child({ namespace, workload: workloadName, component: componentName })
    this.#inflows = entries
      .filter(({ subscriptions }) => subscriptions.length > 0)
      .map((entry, index, all) => {
        const send = (batch: unknown): void => this.#send?.(batch)
        return new Inflow({ entry, lattice, log, send, firstId: index, idStep: all.length })
      })
  }

  attach(send: (message: unknown) => void): void {
    this.#send = send
  }

  onCell(state: 'serving' | 'draining' | 'gone'): void {
    for (const inflow of this.#inflows) inflow.onCell(state)
  }

  async handle(method: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    switch (method) {
      case 'handled':
        for (const inflow of this.#inflows) inflow.handled(payload as HandledBatch)
        return undefined
      case 'publish':
        return (payload as readonly BrokerMessage[]).map((message) => this.#publish(message))
      case 'request':
        return this.#request(payload as readonly [unknown, unknown, unknown], signal)
      default:
        throw new TypeError(`wasmcloud:messaging has no method ${JSON.stringify(method.slice(0, 40))}`)
    }
  }

  #publish({ subject, body, replyTo }: BrokerMessage): MessagingAnswer<undefined> {
    try {
      const to = this.#allowed(subject) ?? this.#answerTo(subject)
      if (to === undefined) return { error: notAllowed(subject) }
      if (replyTo === undefined) this.#options.lattice.publish(to, toBytes(body))
      else {
        // Whoever answers will publish there with rights of its own: only where this component could, or listens.
        const back = this.#allowed(replyTo) ?? this.#answerTo(replyTo) ?? this.#subscribed(replyTo)
        if (back === undefined) return { error: `reply-to: ${notAllowed(replyTo)}` }
        this.#options.lattice.publish(to, toBytes(body), { replyTo: back })
      }
      return { ok: undefined }
    } catch (error) {
      return { error: this.#reasonOf(error, 'publish') }
    }
  }

  async #request(
    [subject, body, timeoutMs]: readonly [unknown, unknown, unknown],
    signal: AbortSignal,
  ): Promise<MessagingAnswer<BrokerMessage>> {
    const to = this.#allowed(subject)
    if (to === undefined) return { error: notAllowed(subject) }
    try {
      const limitMs = Math.min(Math.max(1, Number(timeoutMs) || 0), maxRequestMs)
      const answer = await this.#options.lattice.request(to, toBytes(body), { timeoutMs: limitMs, signal })
      // A piece of the connection's own memory, which would be copied with it.
      return { ok: { subject: to, body: answer.slice() } }
    } catch (error) {
      signal.throwIfAborted()
      return { error: this.#reasonOf(error, 'request') }
    }
  }

  #allowed(subject: unknown): Subject | undefined {
    const parsed = parseOpenSubject(subject)
    if (parsed === undefined) return undefined
    const may = this.#options.entries.some(({ publish }) => publish.some((pattern) => matchesPattern(pattern, parsed)))
    return may ? parsed : undefined
  }

  /** An inbox whose message is being handled now. */
  #answerTo(subject: unknown): Subject | undefined {
    const inbox = parseInbox(subject)
    return inbox !== undefined && this.#inflows.some((inflow) => inflow.isAwaited(inbox)) ? inbox : undefined
  }

  #subscribed(subject: unknown): Subject | undefined {
    const parsed = parseOpenSubject(subject)
    if (parsed === undefined) return undefined
    const listens = this.#options.entries.some(({ subscriptions }) =>
      subscriptions.some((pattern) => matchesPattern(pattern, parsed)),
    )
    return listens ? parsed : undefined
  }

  #reasonOf(error: unknown, what: string): string {
    const { log } = this.#options
    if (!isHeraldError(error)) {
      log.error({ event: 'messaging.failed', err: error }, `${what} failed`)
      return 'the host failed: ask its operator (ERR_INTERNAL)'
    }
    switch (error.code) {
      case 'ERR_LATTICE_NO_RESPONDERS':
        return 'nobody listens to this subject'
      case 'ERR_LATTICE_TIMEOUT':
        return 'no answer in time'
      case 'ERR_LATTICE_PAYLOAD_TOO_LARGE':
        return 'the message is larger than NATS takes'
      case 'ERR_LATTICE_UNREACHABLE':
      case 'ERR_LATTICE_CLOSED':
        return 'NATS cannot be reached: try again later'
      default:
        log.warn({ event: 'messaging.failed', code: error.code, reason: error.message }, `${what} failed`)
        return `NATS refused it (${error.code})`
    }
  }

  release(): void {
    for (const inflow of this.#inflows) inflow.close()
    this.#options.onRelease()
  }
}

function toBytes(body: unknown): Uint8Array {
  if (!(body instanceof Uint8Array)) throw new TypeError('wasmcloud:messaging: a body is bytes')
  return body
}

function notAllowed(subject: unknown): string {
  const shown = JSON.stringify(String(subject).slice(0, 100).toWellFormed())
  return `the subject ${shown} is not allowed: list it under "publish" in the workload's hostInterfaces entry of wasmcloud:messaging`
}
