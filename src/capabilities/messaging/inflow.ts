import type { Lattice, LatticeMessage, LatticeSubscription } from '../../lattice/lattice.ts'
import { matchesPattern, parseOpenSubject } from '../../lattice/open-subjects.ts'
import type { Log } from '../../observability/log.ts'
import type { SpanAttributes } from '../../observability/span-catalog.ts'
import { carryTrace } from '../../observability/trace-context.ts'
import type { ActiveSpan, Tracer } from '../../observability/tracer.ts'
import type { HandledBatch, MessageBatch } from './message-batch.ts'
import type { MessagingEntry } from './messaging-config.ts'
import { type TakenMessages, WaitingMessages } from './waiting-messages.ts'

export type InflowOptions = {
  readonly entry: MessagingEntry
  readonly lattice: Lattice
  readonly log: Log
  readonly send: (batch: MessageBatch) => void
  /** Ids are this, and so many more each time: several inflows of one cell never share one. */
  readonly firstId: number
  readonly idStep: number
  /** Told how many messages of one of the entry's subscriptions were handed over. */
  readonly onHandled?: ((pattern: string, count: number) => void) | undefined
  /** Makes a span of each message that is handled; what its sender says that it belongs to reaches the component without it too. */
  readonly tracer?: Tracer | undefined
  /** Of those spans. */
  readonly about: SpanAttributes<'messaging.process'>
}

/** Bodies that wait together, bytes. */
const maxWaitingBytes = 64 * 2 ** 20
const maxReasonLength = 300
/** How often failures and losses are told, ms. */
const reportEveryMs = 1_000

/**
 * Messages of one entry's subscriptions on their way into a cell. A bounded number is worked on, a bounded number waits; with more the
 * subscriptions are given up until half of them is done, so that others of the queue group take over and whoever asks learns at once that nobody
 * listens. NATS delivers at most once: what is in a cell that ends is lost.
 */
export class Inflow {
  readonly #options: InflowOptions
  readonly #inFlight = new Map<number, string | undefined>()
  readonly #awaited = new Map<string, number>()
  /** Of messages that are being handled. */
  readonly #spans = new Map<number, ActiveSpan<'messaging.process'>>()
  #waiting = new WaitingMessages()
  #subscriptions: LatticeSubscription[] = []
  #state: 'idle' | 'serving' | 'paused' | 'draining' | 'closed' = 'idle'
  #pumping = false
  #nextId: number
  #lost = 0
  #failed = 0
  #lastFailure = ''
  #report: NodeJS.Timeout | undefined

  constructor(options: InflowOptions) {
    this.#options = options
    this.#nextId = options.firstId
  }

  /** Whether a message that is being handled wants its answer there. */
  isAwaited(subject: string): boolean {
    return this.#awaited.has(subject)
  }

  onCell(state: 'serving' | 'draining' | 'gone'): void {
    if (this.#state === 'closed') return
    switch (state) {
      case 'serving':
        this.#listen()
        return
      case 'draining':
        this.#unlisten('draining')
        return
      case 'gone':
        this.#unlisten(this.#state === 'draining' ? 'draining' : 'idle')
        this.#lose(this.#inFlight.size + this.#waiting.length)
        this.#inFlight.clear()
        for (const span of this.#spans.values()) span.fail('ERR_CELL_ENDED')
        this.#spans.clear()
        this.#awaited.clear()
        this.#waiting = new WaitingMessages()
    }
  }

  handled({ ids, failures }: HandledBatch): void {
    if (this.#spans.size > 0) this.#endSpans({ ids, failures })
    for (const id of ids) {
      if (!this.#inFlight.has(id)) continue
      const replyTo = this.#inFlight.get(id)
      this.#inFlight.delete(id)
      if (replyTo !== undefined) this.#notAwaited(replyTo)
    }
    for (const [index, reason] of failures) {
      const id = ids[index]
      if (id === undefined || (id - this.#options.firstId) % this.#options.idStep !== 0) continue
      this.#failed += 1
      this.#lastFailure = reason.slice(0, maxReasonLength)
      this.#reportSoon()
    }
    this.#pump()
    if (this.#state === 'paused' && this.#waiting.length <= this.#options.entry.maxWaiting / 2) this.#listen()
  }

  close(): void {
    this.#unlisten('closed')
    this.#waiting = new WaitingMessages()
    clearTimeout(this.#report)
    this.#tell()
  }

  #listen(): void {
    this.#state = 'serving'
    if (this.#subscriptions.length > 0) return
    const { entry, lattice } = this.#options
    this.#subscriptions = entry.subscriptions.map((pattern) =>
      lattice.subscribe(pattern, {
        handle: (message) => this.#receive(message),
        ...(entry.group !== undefined && { queue: entry.group }),
      }),
    )
  }

  #unlisten(state: 'idle' | 'paused' | 'draining' | 'closed'): void {
    this.#state = state
    for (const subscription of this.#subscriptions) {
      // What was on its way is still received.
      void subscription[Symbol.asyncDispose]()
    }
    this.#subscriptions = []
  }

  #receive(message: LatticeMessage): void {
    const waiting = this.#waiting.length
    const full =
      waiting >= this.#options.entry.maxWaiting * 2 ||
      this.#waiting.byteLength + message.payload.length > maxWaitingBytes
    if (this.#state === 'closed' || this.#state === 'idle' || full) {
      this.#lose(1)
      if (full && this.#state === 'serving') this.#unlisten('paused')
      return
    }
    this.#waiting.add(message)
    if (this.#state === 'serving' && waiting + 1 >= this.#options.entry.maxWaiting) this.#unlisten('paused')
    if (this.#pumping) return
    this.#pumping = true
    setImmediate(() => {
      this.#pumping = false
      this.#pump()
    })
  }

  /** Hands over as many as the component may work on. */
  #pump(): void {
    const { maxInFlight } = this.#options.entry
    while (this.#waiting.length > 0 && this.#inFlight.size < maxInFlight) {
      const taken = this.#waiting.take(maxInFlight - this.#inFlight.size)
      const { idStep } = this.#options
      const firstId = this.#nextId
      let awaited = false
      for (const replyTo of taken.replies) {
        this.#inFlight.set(this.#nextId, replyTo)
        this.#nextId += idStep
        if (replyTo === undefined) continue
        awaited = true
        this.#awaited.set(replyTo, (this.#awaited.get(replyTo) ?? 0) + 1)
      }
      this.#tellHandled(taken.subjects)
      const traces = this.#begin(firstId, taken)
      const { ends, bytes, replies } = taken
      const subjects = sameOrAll(taken.subjects)
      this.#options.send({
        firstId,
        idStep,
        ends,
        bytes,
        subjects,
        ...(awaited && { replies }),
        ...(traces && { traces }),
      })
    }
  }

  #tellHandled(subjects: readonly string[]): void {
    const { entry, onHandled } = this.#options
    const [only = '', ...others] = entry.subscriptions
    if (others.length === 0) onHandled?.(only, subjects.length)
    else for (const subject of subjects) onHandled?.(patternOf(entry, subject), 1)
  }

  /** @returns what the handling of each message is seen to belong to */
  #begin(firstId: number, { subjects, traces }: TakenMessages): MessageBatch['traces'] {
    const { tracer, about, entry, idStep } = this.#options
    if (tracer === undefined) return traces?.map((trace) => trace && carryTrace(trace))
    return subjects.map((subject, index) => {
      const pattern = patternOf(entry, subject)
      const span = tracer.begin('messaging.process', traces?.[index], `process ${pattern}`)
      span.set({ ...about, 'messaging.destination.template': pattern, 'messaging.consumer.group.name': entry.group })
      this.#spans.set(firstId + index * idStep, span)
      return carryTrace(span.context)
    })
  }

  #endSpans({ ids, failures }: HandledBatch): void {
    for (const [index] of failures) this.#spans.get(ids[index] ?? -1)?.failed('ERR_COMPONENT_TRAP')
    for (const id of ids) {
      this.#spans.get(id)?.end()
      this.#spans.delete(id)
    }
  }

  #notAwaited(replyTo: string): void {
    const count = this.#awaited.get(replyTo) ?? 0
    if (count > 1) this.#awaited.set(replyTo, count - 1)
    else this.#awaited.delete(replyTo)
  }

  #lose(count: number): void {
    if (count === 0) return
    this.#lost += count
    this.#reportSoon()
  }

  #reportSoon(): void {
    if (this.#state === 'closed') return
    this.#report ??= setTimeout(() => {
      this.#report = undefined
      this.#tell()
    }, reportEveryMs).unref()
  }

  #tell(): void {
    const { log, entry } = this.#options
    const about = { subscriptions: entry.subscriptions }
    if (this.#lost > 0) log.warn({ event: 'messaging.lost', ...about, count: this.#lost }, 'messages were lost')
    if (this.#failed > 0) {
      const failure = { event: 'messaging.handler_failed', ...about, count: this.#failed, reason: this.#lastFailure }
      log.warn(failure, 'the component did not handle messages')
    }
    this.#lost = 0
    this.#failed = 0
  }
}

function sameOrAll(texts: readonly string[]): string | readonly string[] {
  const [first = ''] = texts
  return texts.every((text) => text === first) ? first : texts
}

function patternOf({ subscriptions }: MessagingEntry, text: string | undefined): string {
  const [only = '', ...others] = subscriptions
  if (others.length === 0) return only
  const subject = parseOpenSubject(text)
  return subscriptions.find((each) => subject !== undefined && matchesPattern(each, subject)) ?? ''
}
