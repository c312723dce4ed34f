import type { Msg, NatsConnection, NatsError, Subscription } from 'nats'
import { isHeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { TraceContext } from '../observability/trace-context.ts'
import type { LatticeMessage, LatticeSubscription, SubscribeOptions } from './lattice.ts'
import { natsReason } from './nats-errors.ts'
import { traceOfMessage } from './trace-headers.ts'

type Context = {
  readonly log: Log
  readonly name: string
  readonly send: (subject: string, payload: Uint8Array) => void
  readonly onDispose: () => void
}

/**
 * One subscription that is made anew on every new connection. Messages never queue here: each is handled at once or refused at once, so a
 * slow handler makes neither the memory grow nor the server call this client a slow consumer.
 */
export class NatsSubscription implements LatticeSubscription {
  readonly #pattern: string
  readonly #options: SubscribeOptions
  readonly #context: Context
  readonly #running = new Set<Promise<void>>()
  readonly #isLiteral: boolean
  readonly #patternBytes: number
  readonly #answer = this.#reply.bind(this)
  #subscription: Subscription | undefined
  #disposed: Promise<void> | undefined

  constructor(pattern: string, options: SubscribeOptions, context: Context) {
    this.#pattern = pattern
    this.#isLiteral = !/[*>]/.test(pattern)
    this.#patternBytes = Buffer.byteLength(pattern)
    this.#options = options
    this.#context = context
  }

  get inFlight(): number {
    return this.#running.size
  }

  bind(connection: NatsConnection): void {
    if (this.#disposed !== undefined) return
    const { queue } = this.#options
    this.#subscription = connection.subscribe(this.#pattern, {
      callback: (error, message) => this.#receive(error, message),
      ...(queue !== undefined && { queue }),
    })
  }

  #receive(error: NatsError | null, message: Msg): void {
    const { log, name } = this.#context
    if (error !== null) {
      log.error(
        { event: 'lattice.subscription-failed', connection: name, subject: this.#pattern, reason: natsReason(error) },
        'NATS does not let this user listen',
      )
      return
    }
    // The client decodes a subject each time it is asked for.
    const subject = this.#isLiteral ? this.#pattern : message.subject
    // Nor is it asked for a reply that is not there: it decodes that one anew as well.
    const mayWantReply = !this.#isLiteral || sizeOf(message) > this.#patternBytes + message.data.length
    const received = new ReceivedMessage(subject, message, mayWantReply, this.#answer)
    if (this.#running.size >= (this.#options.maxInFlight ?? 1024)) {
      log.warn({ event: 'lattice.overloaded', connection: name, subject }, 'too many messages at once; one was refused')
      this.#guard(received.subject, () => this.#options.onOverload?.(received))
      return
    }
    // Called without a promise of its own: a handler that is done at once costs nothing more.
    let handled: Promise<void> | void
    try {
      handled = this.#options.handle(received)
    } catch (error) {
      this.#failed(received.subject, error)
      return
    }
    if (handled === undefined) return
    const running = handled
      .catch((error) => this.#failed(received.subject, error))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  #failed(subject: string, error: unknown): void {
    const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
    this.#context.log.error(
      { event: 'lattice.handler-failed', connection: this.#context.name, subject, code, reason: natsReason(error) },
      'handling a message failed',
    )
  }

  async #guard(subject: string, action: () => Promise<void> | void): Promise<void> {
    try {
      await action()
    } catch (error) {
      this.#failed(subject, error)
    }
  }

  /** Whoever asks chooses where the answer goes. Only inboxes, or this host would publish for others where they may not. */
  #reply(subject: string, replyTo: string, payload: Uint8Array): void {
    const { log, name, send } = this.#context
    if (replyTo.startsWith(this.#options.replyPrefix ?? '_')) send(replyTo, payload)
    else {
      log.warn(
        { event: 'lattice.reply-refused', connection: name, subject },
        'the answer should go to a subject that is no inbox; not sent',
      )
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#drain()
    return this.#disposed
  }

  async #drain(): Promise<void> {
    if (this.#subscription !== undefined && !this.#subscription.isClosed())
      await this.#subscription.drain().catch(() => {})
    while (this.#running.size > 0) await Promise.all(this.#running)
    this.#context.onDispose()
  }
}

/** Of subject, reply, headers and payload together, bytes; the client has it, its types do not. */
function sizeOf(message: Msg & { size?(): number }): number {
  return message.size?.() ?? Number.POSITIVE_INFINITY
}

/** A class, so that a message costs one object. */
class ReceivedMessage implements LatticeMessage {
  readonly subject: string
  readonly payload: Uint8Array
  readonly replyTo: string | undefined
  readonly #message: Msg
  readonly #answer: (subject: string, replyTo: string, payload: Uint8Array) => void

  constructor(
    subject: string,
    message: Msg,
    mayWantReply: boolean,
    answer: (subject: string, replyTo: string, payload: Uint8Array) => void,
  ) {
    this.subject = subject
    this.payload = message.data
    this.replyTo = (mayWantReply && message.reply) || undefined
    this.#message = message
    this.#answer = answer
  }

  get wantsReply(): boolean {
    return this.replyTo !== undefined
  }

  header(name: string): string | undefined {
    const { headers } = this.#message
    return headers?.has(name) ? headers.get(name) : undefined
  }

  get trace(): TraceContext | undefined {
    return traceOfMessage(this.#message)
  }

  reply(payload: Uint8Array): void {
    if (this.replyTo !== undefined) this.#answer(this.subject, this.replyTo, payload)
  }
}
