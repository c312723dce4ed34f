import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock/clock.ts'
import { isHeraldError } from '../../errors/herald-error.ts'
import type { JwtVerifier } from '../../identity/jwt-verifier.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import { callReplicaSubject, callSubject } from '../../lattice/call-subjects.ts'
import type { Lattice, LatticeMessage, LatticeSubscription } from '../../lattice/lattice.ts'
import type { Log } from '../../observability/log.ts'
import type { SpanAttributes } from '../../observability/span-catalog.ts'
import { carryTrace, type TraceContext } from '../../observability/trace-context.ts'
import type { ActiveSpan, Tracer } from '../../observability/tracer.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type CallAnswer, type CallHead, type CallRefusal, encodeAnswer, parseCallMessage } from './call-frame.ts'
import type { CallKey } from './call-key.ts'
import type { CalledInterface, EndedCall, IncomingCall } from './call-messages.ts'
import { readSealed } from './call-session.ts'
import { type CallerPattern, matchesCaller } from './caller-pattern.ts'
import { type CallerSession, CallerSessions } from './caller-sessions.ts'
import type { CallTally } from './calls-audit.ts'
import { encodeClearRefusal, encodeGreeting, parseGreeting } from './greeting-frame.ts'
import { OwnEntry } from './own-entry.ts'

/** One interface that others may call. */
export type OfferedInterface = CalledInterface & {
  /** Of the functions' types, in their order. */
  readonly fingerprints: readonly string[]
  readonly callers: readonly CallerPattern[]
  readonly timeoutMs: number
  readonly maxInFlight: number
}

export type IncomingCallsOptions = {
  /** The component's own SPIFFE ID: its address. */
  readonly self: SpiffeId
  /** Whose it is; stays with its owner. */
  readonly identity: ComponentIdentity
  /** The host's. */
  readonly key: CallKey
  readonly verifier: JwtVerifier
  readonly offered: readonly OfferedInterface[]
  readonly lattice: Lattice
  readonly clock: Clock
  readonly log: Log
  readonly tally: CallTally
  /** To the cell. */
  readonly enter: (call: IncomingCall) => void
  readonly cancel: (id: number) => void
  /** Makes a span of each call that is admitted; what its caller says that it belongs to reaches the component without it too. */
  readonly tracer?: Tracer | undefined
  /** Of those spans. */
  readonly about: SpanAttributes<'call.server'>
}

/** A call that can be answered: whose it is, and its number. */
type Asked = { readonly message: LatticeMessage; readonly from: CallerSession; readonly number: number }

type InFlight = Asked & { readonly offer: number; readonly span: ActiveSpan<'call.server'> | undefined }

/** Messages at a time, verification included. */
const maxMessages = 4_096
/** Greetings at a time: each new one costs about as much as twenty calls. */
const maxGreetings = 64
/** The longest timeout there is, and clocks that differ, ms. */
const maxAheadMs = 660_000

/**
 * Calls of others on their way into one replica's cell. A caller greets first, with its token; its calls are sealed with keys that only its
 * host and this one can have, and taken once. Nothing reaches the guest before its SPIFFE ID is known to be one that the workload lists.
 * All that comes from the network is hostile until then.
 */
export class IncomingCalls {
  readonly #options: IncomingCallsOptions
  readonly #replica = randomBytes(16).toString('hex')
  readonly #sessions: CallerSessions
  readonly #entry: OwnEntry
  readonly #inFlight = new Map<number, InFlight>()
  readonly #inFlightOf: number[]
  #greetings: LatticeSubscription | undefined
  #calls: LatticeSubscription | undefined
  #state: 'idle' | 'serving' | 'draining' | 'closed' = 'idle'
  #nextId = 1

  constructor(options: IncomingCallsOptions) {
    this.#options = options
    this.#inFlightOf = options.offered.map(() => 0)
    this.#sessions = new CallerSessions({ ...options, replica: this.#replica })
    this.#entry = new OwnEntry(options)
  }

  onCell(state: 'serving' | 'draining' | 'gone'): void {
    if (this.#state === 'closed') return
    this.#state = state === 'gone' ? 'idle' : state
    if (state === 'serving') this.#listen()
    else this.#endGreetings()
    if (state !== 'gone') return
    this.#endCalls()
    for (const id of [...this.#inFlight.keys()]) this.ended({ id, refusal: 'failed', message: 'its cell ended' })
  }

  /** The cell is done with one. */
  ended({ id, bytes, refusal = 'failed', message = '' }: EndedCall): void {
    const call = this.#inFlight.get(id)
    if (call === undefined) return
    this.#inFlight.delete(id)
    call.from.running.delete(call.number)
    this.#inFlightOf[call.offer]! -= 1
    if (bytes === undefined) call.span?.failed(refusal)
    call.span?.end()
    this.#reply(call, bytes === undefined ? { kind: 'refused', refusal, message } : { kind: 'returned', bytes })
  }

  close(): void {
    this.#state = 'closed'
    this.#entry.close()
    this.#endGreetings()
    this.#endCalls()
    for (const id of [...this.#inFlight.keys()]) this.ended({ id, refusal: 'failed', message: 'it was stopped' })
  }

  #listen(): void {
    const { lattice, self } = this.#options
    // Of every replica: a caller wants to know them all.
    this.#greetings ??= lattice.subscribe(callSubject(self), {
      handle: (message) => this.#greet(message),
      maxInFlight: maxGreetings,
      onOverload: (message) => this.#refuseClearly(message, 'busy', 'too many callers at once'),
    })
    this.#calls ??= lattice.subscribe(callReplicaSubject(self, this.#replica), {
      handle: (message) => this.#receive(message),
      maxInFlight: maxMessages,
      onOverload: (message) => this.#refuseClearly(message, 'busy', 'too many messages at once'),
    })
  }

  #endGreetings(): void {
    void this.#greetings?.[Symbol.asyncDispose]()
    this.#greetings = undefined
  }

  #endCalls(): void {
    void this.#calls?.[Symbol.asyncDispose]()
    this.#calls = undefined
  }

  async #greet(message: LatticeMessage): Promise<void> {
    if (!message.wantsReply) return
    const greeting = parseGreeting(message.payload)
    if (greeting === undefined) return this.#refuseClearly(message, 'malformed', 'it is no greeting of version 2')
    if (this.#entry.isGone) return this.#refuseClearly(message, 'revoked', goneMessage)
    let from: CallerSession
    try {
      from = await this.#sessions.greet(greeting)
    } catch (error) {
      return this.#refuseClearly(message, 'denied', this.#disbelieved(error))
    }
    const { spiffeId } = from.peer
    if (!this.#options.offered.some(({ callers }) => matchesCaller(callers, spiffeId)))
      return this.#refuseClearly(message, 'denied', this.#notListed(spiffeId))
    const { key } = this.#options
    let token: string
    try {
      token = await this.#entry.fetchToken()
    } catch (error) {
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      const refusal = this.#entry.isGone ? 'revoked' : 'stopping'
      return this.#refuseClearly(message, refusal, `the callee cannot show who it is (${code})`)
    }
    const proof = from.session.prove(greeting.nonce).toString('base64url')
    this.#send(message, encodeGreeting({ replica: this.#replica, key: key.publicKey, token, proof }))
  }

  /** A promise only when a token has to be looked at again. */
  #receive(message: LatticeMessage): Promise<void> | undefined {
    const sealed = readSealed(message.payload)
    if (sealed === undefined) return this.#greet(message)
    const from = this.#sessions.find(sealed.session)
    if (from === undefined)
      return this.#refuseClearly(message, 'unknown-session', 'its caller is not known: greet first')
    const opened = from.session.openCall(sealed)
    if (opened === undefined) return this.#refuseClearly(message, 'malformed', 'its seal is broken')
    const asked: Asked = { message, from, number: sealed.number }
    if (!from.window.take(sealed.number)) return this.#repeated(asked)
    const call = parseCallMessage(opened)
    if (call === undefined) return this.#refuse(asked, 'malformed', 'it is no call of version 2')
    if (call.kind === 'cancel') {
      const id = from.running.get(call.number)
      if (id !== undefined) this.#options.cancel(id)
      return undefined
    }
    if (!message.wantsReply) return undefined
    if (this.#state !== 'serving') return this.#refuse(asked, 'stopping', 'the component is stopping')
    if (this.#entry.isGone) return this.#refuse(asked, 'revoked', goneMessage)
    if (from.peer.isBelieved) return this.#admit(asked, call.head, call.args)
    return this.#verifyAgain(asked, call.head, call.args)
  }

  async #verifyAgain(asked: Asked, head: CallHead, args: Uint8Array): Promise<void> {
    try {
      await asked.from.peer.verifyAgain()
    } catch (error) {
      this.#refuse(asked, 'denied', this.#disbelieved(error))
      return
    }
    this.#admit(asked, head, args)
  }

  #admit(asked: Asked, head: CallHead, args: Uint8Array): undefined {
    const { offered, clock, enter, tracer } = this.#options
    const { from, number } = asked
    const caller = from.peer.spiffeId
    const now = clock.nowMs()
    if (head.deadline > now + maxAheadMs) return this.#refuse(asked, 'malformed', 'its deadline is too far away')
    if (head.deadline <= now)
      return this.#refuse(asked, 'deadline', 'the time was up before it began: if it should not be, compare the clocks')
    const allowed = offered.map(({ callers }) => matchesCaller(callers, caller))
    const offer = offered.findIndex(({ name }) => withoutVersion(name) === withoutVersion(head.interface))
    if (offer >= 0 && allowed[offer] !== true) return this.#refuse(asked, 'denied', this.#notListed(caller))
    const target = offered[offer]
    const fn = target?.functions.findIndex(({ name }) => name === head.function) ?? -1
    if (target === undefined || fn < 0) return this.#refuse(asked, 'unknown', 'there is no such function')
    if (target.fingerprints[fn] !== head.types)
      return this.#refuse(asked, 'unknown', 'the function has other types than the caller was built with')
    if (this.#inFlightOf[offer]! >= target.maxInFlight)
      return this.#refuse(asked, 'busy', 'too many calls are in progress')
    const id = this.#nextId++
    const parent = asked.message.trace
    const span = tracer && this.#begin(tracer, parent, `${target.name}/${head.function}`, caller)
    const context = span?.context ?? parent
    this.#inFlight.set(id, { ...asked, offer, span })
    from.running.set(number, id)
    this.#inFlightOf[offer]! += 1
    const budgetMs = Math.min(head.deadline - now, target.timeoutMs)
    const call = { id, interface: offer, function: fn, args, budgetMs, caller }
    enter(context === undefined ? call : { ...call, trace: carryTrace(context) })
    return undefined
  }

  #begin(
    tracer: Tracer,
    parent: TraceContext | undefined,
    method: string,
    caller: SpiffeId,
  ): ActiveSpan<'call.server'> {
    const span = tracer.begin('call.server', parent, method)
    span.set({ ...this.#options.about, 'rpc.method': method, 'herald.caller': caller })
    return span
  }

  #repeated(asked: Asked): undefined {
    const reason = 'the call was sent a second time, and not made again'
    this.#options.tally.add({ kind: 'denied', target: asked.from.peer.spiffeId, code: 'ERR_CALL_FAILED', reason })
    return this.#refuse(asked, 'repeated', 'this call was made already')
  }

  #disbelieved(error: unknown): string {
    const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
    this.#options.tally.add({ kind: 'denied', target: '', code, reason: 'the token is not to be believed' })
    return `the token is not to be believed (${code})`
  }

  #notListed(caller: SpiffeId): string {
    const reason = 'this caller is not listed under callers'
    this.#options.tally.add({ kind: 'denied', target: caller, code: 'ERR_CALLER_NOT_ALLOWED', reason })
    return reason
  }

  #refuse(asked: Asked, refusal: CallRefusal, message: string): undefined {
    this.#reply(asked, { kind: 'refused', refusal, message })
    return undefined
  }

  #reply(asked: Asked, answer: CallAnswer): void {
    const { message, from, number } = asked
    const sealed = from.session.sealAnswer(this.#options.key.nextNumber(), number, encodeAnswer(answer))
    if (!this.#send(message, sealed) && answer.kind === 'returned')
      this.#refuse(asked, 'too-large', 'the answer is larger than NATS takes')
  }

  /** To whoever is not known: it promises nothing. */
  #refuseClearly(message: LatticeMessage, refusal: CallRefusal, reason: string): undefined {
    if (message.wantsReply) this.#send(message, encodeClearRefusal({ kind: 'refused', refusal, message: reason }))
    return undefined
  }

  /** @returns whether another answer would do */
  #send(message: LatticeMessage, frame: Uint8Array): boolean {
    try {
      message.reply(frame)
      return true
    } catch (error) {
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      const record = { event: 'call.answer_lost', callee: this.#options.self, code }
      this.#options.log.warn(record, 'an answer could not be sent')
      return code !== 'ERR_LATTICE_PAYLOAD_TOO_LARGE'
    }
  }
}

const goneMessage = 'its registration entry is gone (ERR_SPIRE_NO_IDENTITY_ISSUED)'

/** The types decide, and they are compared. */
function withoutVersion(name: string): string {
  const at = name.indexOf('@')
  return at < 0 ? name : name.slice(0, at)
}
