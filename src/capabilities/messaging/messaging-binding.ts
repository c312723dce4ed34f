import { isHeraldError } from '../../errors/herald-error.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { Lattice } from '../../lattice/lattice.ts'
import { matchesPattern, parseInbox, parseOpenSubject } from '../../lattice/open-subjects.ts'
import type { Subject, SubjectPattern } from '../../lattice/subjects.ts'
import { GatheredCounts } from '../../observability/gathered-counts.ts'
import type { Log } from '../../observability/log.ts'
import type { SpanAttributes } from '../../observability/span-catalog.ts'
import { readTrace, type TraceContext } from '../../observability/trace-context.ts'
import { type ActiveSpan, codeOf, type Tracer } from '../../observability/tracer.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { componentAttributes } from '../component-attributes.ts'
import { Inflow } from './inflow.ts'
import type { BrokerMessage, HandledBatch, MessageRequest, MessagingAnswer, PublishedMessage } from './message-batch.ts'
import type { MessagingEntry } from './messaging-config.ts'

export type MessagingBindingOptions = {
  readonly component: ComponentFacts
  readonly entries: readonly MessagingEntry[]
  /** Stays its owner's. */
  readonly lattice: Lattice
  readonly log: Log
  /** Told what was published and handled, by patterns of the entries, what is new about once a second. Default: nobody is. */
  readonly onTraffic?: OnTraffic | undefined
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
  readonly onRelease: () => void
}

export type OnTraffic = (traffic: {
  readonly workloadId: string
  readonly component: string
  readonly kind: 'published' | 'handled'
  readonly target: string
  readonly count: number
}) => void

const maxRequestMs = 60_000

/** One component's `wasmcloud:messaging` on the control thread: what comes in, what may go out. */
export class MessagingBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'messaging-cell')
  readonly config = undefined
  readonly #options: MessagingBindingOptions
  readonly #published = this.#counted('published')
  readonly #handled = this.#counted('handled')
  readonly #about: SpanAttributes<'messaging.publish'>
  readonly #inflows: readonly Inflow[]
  #send: ((message: unknown) => void) | undefined

  constructor(options: MessagingBindingOptions) {
    this.#options = options
    const { component, entries, lattice, tracer } = options
    const { namespace, workloadName, componentName } = component
    const log = options.log.child({ namespace, workload: workloadName, component: componentName })
    const onHandled = (pattern: string, count: number): void => this.#handled.add(pattern, count)
    this.#about = { 'messaging.system': 'nats', ...componentAttributes(component) }
    this.#inflows = entries
      .filter(({ subscriptions }) => subscriptions.length > 0)
      .map((entry, index, all) => {
        const send = (batch: unknown): void => this.#send?.(batch)
        const about = { ...this.#about, 'messaging.operation.type': 'process' }
        return new Inflow({ entry, lattice, log, send, firstId: index, idStep: all.length, tracer, about, onHandled })
      })
  }

  attach(send: (message: unknown) => void): void {
    this.#send = send
  }

  onCell(state: 'serving' | 'draining' | 'gone'): void {
    for (const inflow of this.#inflows) inflow.onCell(state)
  }

  told(method: string, payload: unknown): void {
    if (method !== 'handled') throw unknownMethod(method)
    for (const inflow of this.#inflows) inflow.handled(payload as HandledBatch)
  }

  async handle(method: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    switch (method) {
      case 'publish':
        return (payload as readonly PublishedMessage[]).map((message) => this.#publish(message))
      case 'request':
        return this.#request(payload as MessageRequest, signal)
      default:
        throw unknownMethod(method)
    }
  }

  #publish({ subject, body, replyTo, trace }: PublishedMessage): MessagingAnswer<undefined> {
    let span: ActiveSpan<'messaging.publish'> | undefined
    try {
      const allowed = this.#allowed(subject)
      const to = allowed?.subject ?? this.#answerTo(subject)
      if (to === undefined) return { error: notAllowed(subject) }
      // Whoever answers will publish there with rights of its own: only where this component could, or listens.
      const back =
        replyTo === undefined
          ? undefined
          : (this.#allowed(replyTo)?.subject ?? this.#answerTo(replyTo) ?? this.#subscribed(replyTo))
      if (replyTo !== undefined && back === undefined) return { error: `reply-to: ${notAllowed(replyTo)}` }
      // An answer belongs to what asked for it, and who asked knows that.
      const parent = allowed && readTrace(trace)
      if (allowed !== undefined) span = this.#begin('messaging.publish', allowed.pattern, parent)
      const context = span?.context ?? parent
      this.#options.lattice.publish(to, toBytes(body), {
        ...(back !== undefined && { replyTo: back }),
        ...(context !== undefined && { trace: context }),
      })
      span?.end()
      if (allowed !== undefined) this.#published.add(allowed.pattern)
      return { ok: undefined }
    } catch (error) {
      span?.fail(codeOf(error))
      return { error: this.#reasonOf(error, 'publish') }
    }
  }

  #begin<Type extends 'messaging.publish' | 'messaging.request'>(
    type: Type,
    pattern: SubjectPattern,
    parent: TraceContext | undefined,
  ): ActiveSpan<Type> | undefined {
    const what = type === 'messaging.publish' ? 'send' : 'request'
    const span = this.#options.tracer?.begin(type, parent, `${what} ${pattern}`)
    span?.set({ ...this.#about, 'messaging.operation.type': 'send', 'messaging.destination.template': pattern })
    return span
  }

  async #request(
    { subject, body, timeoutMs, trace }: MessageRequest,
    signal: AbortSignal,
  ): Promise<MessagingAnswer<BrokerMessage>> {
    const allowed = this.#allowed(subject)
    if (allowed === undefined) return { error: notAllowed(subject) }
    const { subject: to, pattern } = allowed
    const parent = readTrace(trace)
    const span = this.#begin('messaging.request', pattern, parent)
    this.#published.add(pattern)
    try {
      const limitMs = Math.min(Math.max(1, Number(timeoutMs) || 0), maxRequestMs)
      const answer = await this.#options.lattice.request(to, toBytes(body), {
        timeoutMs: limitMs,
        signal,
        trace: span?.context ?? parent,
      })
      span?.end()
      // A piece of the connection's own memory, which would be copied with it.
      return { ok: { subject: to, body: answer.slice() } }
    } catch (error) {
      span?.fail(codeOf(error))
      signal.throwIfAborted()
      return { error: this.#reasonOf(error, 'request') }
    }
  }

  #allowed(subject: unknown): { readonly subject: Subject; readonly pattern: SubjectPattern } | undefined {
    const parsed = parseOpenSubject(subject)
    if (parsed === undefined) return undefined
    for (const { publish } of this.#options.entries) {
      for (const pattern of publish) if (matchesPattern(pattern, parsed)) return { subject: parsed, pattern }
    }
    return undefined
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

  #counted(kind: 'published' | 'handled'): GatheredCounts {
    return new GatheredCounts((counts) => {
      const { onTraffic, component } = this.#options
      const { workloadId, componentName } = component
      for (const [target, count] of counts) onTraffic?.({ workloadId, component: componentName, kind, target, count })
    })
  }

  release(): void {
    this.#published.flush()
    this.#handled.flush()
    for (const inflow of this.#inflows) inflow.close()
    this.#options.onRelease()
  }
}

function unknownMethod(method: string): TypeError {
  return new TypeError(`wasmcloud:messaging has no method ${JSON.stringify(method.slice(0, 40))}`)
}

function toBytes(body: unknown): Uint8Array {
  if (!(body instanceof Uint8Array)) throw new TypeError('wasmcloud:messaging: a body is bytes')
  return body
}

function notAllowed(subject: unknown): string {
  const shown = JSON.stringify(String(subject).slice(0, 100).toWellFormed())
  return `the subject ${shown} is not allowed: list it under "publish" in the workload's hostInterfaces entry of wasmcloud:messaging`
}
