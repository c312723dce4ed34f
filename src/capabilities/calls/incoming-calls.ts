import type { Clock } from '../../clock/clock.ts'
import { isHeraldError } from '../../errors/herald-error.ts'
import { callCancelSubject, callSubject } from '../../lattice/call-subjects.ts'
import type { Lattice, LatticeMessage, LatticeSubscription } from '../../lattice/lattice.ts'
import type { Log } from '../../observability/log.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type CallAnswer, type CallHead, type CallRefusal, encodeAnswer, isCallId, parseCall } from './call-frame.ts'
import type { CalledInterface, EndedCall, IncomingCall } from './call-messages.ts'
import { type CallerPattern, matchesCaller } from './caller-pattern.ts'
import type { CallerTokens } from './caller-tokens.ts'
import type { CallTally } from './calls-audit.ts'

/** One interface that others may call. */
export type OfferedInterface = CalledInterface & {
  /** Of the functions' types, in their order. */
  readonly fingerprints: readonly string[]
  readonly callers: readonly CallerPattern[]
  readonly timeoutMs: number
  readonly maxInFlight: number
}

export type IncomingCallsOptions = {
  /** The component's own SPIFFE ID: its address, and the audience of tokens. */
  readonly self: SpiffeId
  readonly offered: readonly OfferedInterface[]
  readonly tokens: CallerTokens
  readonly lattice: Lattice
  readonly clock: Clock
  readonly log: Log
  readonly tally: CallTally
  /** To the cell. */
  readonly enter: (call: IncomingCall) => void
  readonly cancel: (id: number) => void
}

type InFlight = { readonly message: LatticeMessage; readonly callId: string; readonly offer: number }

/** Messages at a time, verification included. */
const maxMessages = 4_096
const maxRemembered = 100_000
/** The longest timeout there is, and clocks that differ, ms. */
const maxAheadMs = 660_000

/**
 * Calls of others on their way into a cell. Nothing reaches the guest before the caller's token has been verified and its SPIFFE ID is one
 * that the workload lists. All that comes from the network is hostile until then.
 */
export class IncomingCalls {
  readonly #options: IncomingCallsOptions
  readonly #inFlight = new Map<number, InFlight>()
  readonly #byCallId = new Map<string, number>()
  readonly #inFlightOf: number[]
  /** Ids of calls that began, until their deadline: nothing is run twice, whoever sends it again. */
  readonly #seen = new Map<string, number>()
  #subscriptions: LatticeSubscription[] = []
  #state: 'idle' | 'serving' | 'closed' = 'idle'
  #nextId = 1

  constructor(options: IncomingCallsOptions) {
    this.#options = options
    this.#inFlightOf = options.offered.map(() => 0)
  }

  onCell(state: 'serving' | 'draining' | 'gone'): void {
    if (this.#state === 'closed') return
    if (state === 'serving') this.#listen()
    else this.#unlisten('idle')
    if (state === 'gone')
      for (const id of [...this.#inFlight.keys()]) this.ended({ id, refusal: 'failed', message: 'its cell ended' })
  }

  /** The cell is done with one. */
  ended({ id, bytes, refusal = 'failed', message = '' }: EndedCall): void {
    const call = this.#inFlight.get(id)
    if (call === undefined) return
    this.#inFlight.delete(id)
    this.#byCallId.delete(call.callId)
    this.#inFlightOf[call.offer]! -= 1
    this.#reply(call.message, bytes === undefined ? { kind: 'refused', refusal, message } : { kind: 'returned', bytes })
  }

  close(): void {
    this.#unlisten('closed')
    for (const id of [...this.#inFlight.keys()]) this.ended({ id, refusal: 'failed', message: 'it was stopped' })
  }

  #listen(): void {
    this.#state = 'serving'
    if (this.#subscriptions.length > 0) return
    const { lattice, self } = this.#options
    this.#subscriptions = [
      lattice.subscribe(callSubject(self), {
        handle: (message) => this.#receive(message),
        queue: 'herald',
        maxInFlight: maxMessages,
        onOverload: (message) => this.#refuse(message, 'busy', 'too many messages at once'),
      }),
      lattice.subscribe(callCancelSubject(self), { handle: ({ payload }) => this.#cancel(payload) }),
    ]
  }

  #unlisten(state: 'idle' | 'closed'): void {
    this.#state = state
    for (const subscription of this.#subscriptions) void subscription[Symbol.asyncDispose]()
    this.#subscriptions = []
  }

  /** A promise only when a token has to be verified. */
  #receive(message: LatticeMessage): Promise<void> | undefined {
    if (!message.wantsReply) return undefined
    const call = parseCall(message.payload)
    if (call === undefined) return this.#refuse(message, 'malformed', 'it is no call of version 1')
    if (this.#state !== 'serving') return this.#refuse(message, 'stopping', 'the component is stopping')
    const { head, args } = call
    const now = this.#options.clock.nowMs()
    if (head.deadline > now + maxAheadMs) return this.#refuse(message, 'malformed', 'its deadline is too far away')
    if (head.deadline <= now)
      return this.#refuse(
        message,
        'deadline',
        'the time was up before it began: if it should not be, compare the clocks',
      )
    const caller = this.#options.tokens.known(head.token)
    if (caller !== undefined) return this.#admit(message, head, args, caller)
    return this.#verified(message, head, args)
  }

  async #verified(message: LatticeMessage, head: CallHead, args: Uint8Array): Promise<void> {
    let caller: SpiffeId
    try {
      caller = await this.#options.tokens.verify(head.token)
    } catch (error) {
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      this.#options.tally.add({ kind: 'denied', target: '', code, reason: 'the token is not to be believed' })
      this.#refuse(message, 'denied', `the token is not to be believed (${code})`)
      return
    }
    this.#admit(message, head, args, caller)
  }

  #admit(message: LatticeMessage, head: CallHead, args: Uint8Array, caller: SpiffeId): undefined {
    const { offered, clock, enter } = this.#options
    const allowed = offered.map(({ callers }) => matchesCaller(callers, caller))
    if (!allowed.includes(true)) return this.#denied(message, caller)
    const offer = offered.findIndex(({ name }) => withoutVersion(name) === withoutVersion(head.interface))
    if (offer >= 0 && allowed[offer] !== true) return this.#denied(message, caller)
    const target = offered[offer]
    const fn = target?.functions.findIndex(({ name }) => name === head.function) ?? -1
    if (target === undefined || fn < 0) return this.#refuse(message, 'unknown', 'there is no such function')
    if (target.fingerprints[fn] !== head.types)
      return this.#refuse(message, 'unknown', 'the function has other types than the caller was built with')
    const seen = this.#isSeen(head)
    if (seen === 'full') return this.#refuse(message, 'busy', 'too many calls are remembered')
    if (seen) {
      this.#options.tally.add({
        ...{ kind: 'denied', target: caller, code: 'ERR_CALL_FAILED' },
        reason: 'the call was sent a second time, and not made again',
      })
      return this.#refuse(message, 'repeated', 'this call was made already')
    }
    if (this.#inFlightOf[offer]! >= target.maxInFlight)
      return this.#refuse(message, 'busy', 'too many calls are in progress')
    const budgetMs = Math.min(head.deadline - clock.nowMs(), target.timeoutMs)
    if (budgetMs <= 0) return this.#refuse(message, 'deadline', 'the time was up before it began')
    this.#seen.set(head.id, head.deadline)
    const id = this.#nextId++
    this.#inFlight.set(id, { message, callId: head.id, offer })
    this.#byCallId.set(head.id, id)
    this.#inFlightOf[offer]! += 1
    // A piece of the connection's own memory, which would be copied with it.
    enter({ id, interface: offer, function: fn, args: args.slice(), budgetMs, caller })
    return undefined
  }

  #denied(message: LatticeMessage, caller: SpiffeId): undefined {
    const reason = 'this caller is not listed under callers'
    this.#options.tally.add({ kind: 'denied', target: caller, code: 'ERR_CALLER_NOT_ALLOWED', reason })
    return this.#refuse(message, 'denied', reason)
  }

  #isSeen({ id }: CallHead): boolean | 'full' {
    if (this.#seen.size < maxRemembered) return this.#seen.has(id)
    const now = this.#options.clock.nowMs()
    for (const [known, deadline] of this.#seen) if (deadline < now) this.#seen.delete(known)
    return this.#seen.size >= maxRemembered ? 'full' : this.#seen.has(id)
  }

  #cancel(payload: Uint8Array): void {
    const callId = payload.length === 32 ? Buffer.from(payload).toString('latin1') : ''
    const id = isCallId(callId) ? this.#byCallId.get(callId) : undefined
    if (id !== undefined) this.#options.cancel(id)
  }

  #refuse(message: LatticeMessage, refusal: CallRefusal, reason: string): undefined {
    this.#reply(message, { kind: 'refused', refusal, message: reason })
    return undefined
  }

  #reply(message: LatticeMessage, answer: CallAnswer): void {
    try {
      message.reply(encodeAnswer(answer))
    } catch (error) {
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      this.#options.log.warn(
        { event: 'call.answer_lost', callee: this.#options.self, code },
        'an answer could not be sent',
      )
      if (answer.kind === 'returned' && code === 'ERR_LATTICE_PAYLOAD_TOO_LARGE')
        this.#refuse(message, 'too-large', 'the answer is larger than NATS takes')
    }
  }
}

/** The types decide, and they are compared. */
function withoutVersion(name: string): string {
  const at = name.indexOf('@')
  return at < 0 ? name : name.slice(0, at)
}
