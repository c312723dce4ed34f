import type { Clock } from '../../clock/clock.ts'
import { isHeraldError } from '../../errors/herald-error.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { Lattice } from '../../lattice/lattice.ts'
import type { Log } from '../../observability/log.ts'
import type { SpanAttributes } from '../../observability/span-catalog.ts'
import { readTrace, type TraceContext } from '../../observability/trace-context.ts'
import { codeOf, type Tracer } from '../../observability/tracer.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import {
  type CallAnswer,
  type CallRefusal,
  callRefusals,
  encodeCall,
  encodeCancel,
  parseAnswer,
  type RefusedCall,
} from './call-frame.ts'
import type { CallKey } from './call-key.ts'
import type { CalledInterface, CallOutcome, OutgoingCall } from './call-messages.ts'
import { readSealed } from './call-session.ts'
import type { CalleeReplica, CalleeReplicas } from './callee-replicas.ts'
import type { CallTally } from './calls-audit.ts'
import { parseClearRefusal } from './greeting-frame.ts'

/** One interface that is served elsewhere. */
export type CallTarget = CalledInterface & {
  /** Of the functions' types, in their order. */
  readonly fingerprints: readonly string[]
  readonly callee: SpiffeId
  /** Whose token goes with it. */
  readonly identity: ComponentIdentity
  readonly replicas: CalleeReplicas
  readonly timeoutMs: number
  readonly maxInFlight: number
}

export type OutgoingCallsOptions = {
  readonly targets: readonly CallTarget[]
  /** The host's. */
  readonly key: CallKey
  readonly lattice: Lattice
  readonly clock: Clock
  readonly log: Log
  readonly tally: CallTally
  readonly random: () => number
  /** Makes a span of each call; what it belongs to reaches the callee without it too. */
  readonly tracer?: Tracer | undefined
  /** Of those spans. */
  readonly about: SpanAttributes<'call.client'>
}

/** Pauses before a call that certainly did not run is tried again, ms. */
const retryPausesMs = [10, 50, 200]
const maxArgsBytes = 16 * 2 ** 20

const tooLate: RefusedCall = { kind: 'refused', refusal: 'deadline', message: 'the time was up before it was sent' }
const noneListens: RefusedCall = { kind: 'refused', refusal: 'stopping', message: 'nobody serves it now' }

/** What a refusal is to the guest's own caller. */
const failures: Readonly<Partial<Record<CallRefusal, Failure['as']>>> = {
  ...{ busy: 'busy', stopping: 'busy', revoked: 'busy', deadline: 'deadline' },
}

type Failure = Extract<CallOutcome, { kind: 'failed' }>
/** `trace`: what the callee is to see it as part of. */
type Call = { readonly args: Uint8Array; readonly budgetMs: number; readonly trace: TraceContext | undefined }

/** Calls that a component makes, with its token. A call runs at most once: after an error that is not a refusal nobody knows whether it ran. */
export class OutgoingCalls {
  readonly #options: OutgoingCallsOptions
  #inFlight = 0

  constructor(options: OutgoingCallsOptions) {
    this.#options = options
  }

  /** Never rejects but with the signal's reason, or for what no cell sends. */
  async call(
    { interface: at, function: fn, args, budgetMs, trace }: OutgoingCall,
    signal: AbortSignal,
  ): Promise<CallOutcome> {
    const target = this.#options.targets[at]
    if (target?.functions[fn] === undefined || !(args instanceof Uint8Array) || typeof budgetMs !== 'number')
      throw new TypeError('no such call')
    if (args.length > maxArgsBytes) return failed('failed', 'the arguments are larger than any message')
    if (this.#inFlight >= target.maxInFlight) return failed('busy', 'too many calls are in progress')
    this.#inFlight += 1
    try {
      const parent = trace && readTrace(trace)
      const { tracer } = this.#options
      const call = { args, budgetMs, trace: parent }
      if (tracer !== undefined) return await this.#traced(tracer, target, fn, call, signal)
      return await this.#tryCall(target, fn, call, signal)
    } catch (error) {
      signal.throwIfAborted()
      return this.#failureOf(target, error)
    } finally {
      this.#inFlight -= 1
    }
  }

  async #traced(tracer: Tracer, target: CallTarget, fn: number, call: Call, signal: AbortSignal): Promise<CallOutcome> {
    const method = `${target.name}/${target.functions[fn]?.name}`
    const span = tracer.begin('call.client', call.trace, method)
    span.set({ ...this.#options.about, 'rpc.method': method, 'herald.callee': target.callee })
    const traced = { ...call, trace: span.context }
    try {
      const outcome = await tracer.within(span.context, () => this.#tryCall(target, fn, traced, signal))
      if (outcome.kind === 'failed') span.failed(outcome.as)
      return outcome
    } catch (error) {
      span.failed(signal.aborted ? 'cancelled' : codeOf(error))
      throw error
    } finally {
      span.end()
    }
  }

  async #tryCall(
    target: CallTarget,
    fn: number,
    { args, budgetMs, trace }: Call,
    signal: AbortSignal,
  ): Promise<CallOutcome> {
    const { clock, random } = this.#options
    const deadline = Math.floor(clock.nowMs() + Math.min(Math.max(1, budgetMs), target.timeoutMs))
    /** Replicas that would not have it. */
    const tired = new Set<string>()
    let askedAgain = false
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#send(target, fn, { args, deadline, trace }, tired, signal)
      if (answer.kind === 'returned') {
        this.#options.tally.add({ kind: 'called', target: target.callee })
        return answer
      }
      const pauseMs = retryPausesMs[attempt]
      const mayRetry = !callRefusals[answer.refusal].started && pauseMs !== undefined
      if (mayRetry && answer.refusal === 'denied' && !askedAgain) {
        askedAgain = true
        await target.identity.refetchJwtSvid([this.#options.key.audience], { signal })
      } else if (!mayRetry || (answer.refusal !== 'busy' && answer.refusal !== 'stopping')) {
        return this.#told(target, answer.refusal, answer.message)
      }
      const waitMs = (pauseMs ?? 0) * (0.5 + random())
      if (clock.nowMs() + waitMs >= deadline) return this.#told(target, answer.refusal, answer.message)
      await clock.sleep(waitMs, { signal })
    }
  }

  async #send(
    target: CallTarget,
    fn: number,
    { args, deadline, trace }: { args: Uint8Array; deadline: number; trace: TraceContext | undefined },
    tired: Set<string>,
    signal: AbortSignal,
  ): Promise<CallAnswer> {
    const { clock, key } = this.#options
    const { svid } = await target.identity.fetchJwtSvid([key.audience], { signal })
    const timeoutMs = deadline - clock.nowMs()
    if (timeoutMs <= 0) return tooLate
    let replica: CalleeReplica | RefusedCall
    try {
      replica = await target.replicas.pick(svid, { tired, timeoutMs, signal })
    } catch (error) {
      if (isHeraldError(error, 'ERR_LATTICE_NO_RESPONDERS')) return noneListens
      throw error
    }
    if ('kind' in replica) return replica
    const head = { interface: target.name, function: target.functions[fn]!.name, types: target.fingerprints[fn]! }
    const number = key.nextNumber()
    const frame = replica.session.sealCall(number, encodeCall({ ...head, deadline }, args))
    replica.load.inFlight += 1
    try {
      const answer = await this.#ask(target, replica, { number, frame, deadline, trace }, signal)
      if (answer.kind === 'refused' && !callRefusals[answer.refusal].started) tired.add(replica.id)
      if (answer.kind === 'refused' && (answer.refusal === 'stopping' || answer.refusal === 'denied'))
        target.replicas.forget(replica)
      return answer
    } finally {
      replica.load.inFlight -= 1
    }
  }

  /** What the replica has sealed, and nothing else. Sent a second time as it is where the replica has forgotten who seals: it runs once at most. */
  async #ask(
    target: CallTarget,
    replica: CalleeReplica,
    {
      number,
      frame,
      deadline,
      trace,
    }: { number: number; frame: Uint8Array; deadline: number; trace: TraceContext | undefined },
    signal: AbortSignal,
  ): Promise<CallAnswer> {
    const { lattice, clock } = this.#options
    for (let attempt = 0; ; attempt++) {
      const timeoutMs = deadline - clock.nowMs()
      if (timeoutMs <= 0) return tooLate
      let received: Uint8Array
      try {
        received = await lattice.request(replica.subject, frame, { timeoutMs, signal, trace })
      } catch (error) {
        if (isHeraldError(error, 'ERR_LATTICE_NO_RESPONDERS')) {
          target.replicas.forget(replica)
          return attempt === 0 ? noneListens : { ...noneListens, refusal: 'failed' }
        }
        if (signal.aborted || isHeraldError(error, 'ERR_LATTICE_TIMEOUT')) this.#cancel(replica, number)
        throw error
      }
      const sealed = readSealed(received)
      const opened = sealed && replica.session.openAnswer(sealed, number)
      const answer = opened && parseAnswer(opened)
      if (answer !== undefined) return answer
      const refused = parseClearRefusal(received)
      if (refused?.refusal !== 'unknown-session' || attempt > 0) {
        const message = 'the answer is not one that the callee has sealed (ERR_CALLEE_NOT_PROVED)'
        return { kind: 'refused', refusal: 'failed', message }
      }
      await target.replicas.greetAgain(replica, { timeoutMs, signal })
    }
  }

  #cancel(replica: CalleeReplica, number: number): void {
    const { lattice, key } = this.#options
    try {
      lattice.publish(replica.subject, replica.session.sealCall(key.nextNumber(), encodeCancel(number)))
    } catch {
      // Without a connection nobody can be told: the deadline ends it.
    }
  }

  #failureOf(target: CallTarget, error: unknown): Failure {
    if (!isHeraldError(error)) {
      this.#options.log.error({ event: 'call.failed', callee: target.callee, err: error }, 'a call failed')
      return failed('failed', 'the host failed: ask its operator (ERR_INTERNAL)')
    }
    switch (error.code) {
      case 'ERR_LATTICE_TIMEOUT':
        return this.#told(target, 'deadline', 'no answer in time')
      case 'ERR_LATTICE_UNREACHABLE':
      case 'ERR_LATTICE_CLOSED':
        return this.#told(target, 'busy', 'NATS cannot be reached')
      case 'ERR_LATTICE_PAYLOAD_TOO_LARGE':
        return this.#told(target, 'too-large', 'the arguments are larger than NATS takes')
      default:
        return this.#told(target, 'failed', `${error.message} (${error.code})`)
    }
  }

  #told({ callee, name }: CallTarget, refusal: CallRefusal, message: string): Failure {
    const { log, tally } = this.#options
    tally.add({ kind: 'refused', target: callee, reason: refusal })
    log.debug({ event: 'call.refused', callee, interface: name, refusal, reason: message }, 'a call was not answered')
    return failed(failures[refusal] ?? 'failed', `${callee} did not answer (${refusal}): ${message}`)
  }
}

function failed(as: Failure['as'], message: string): Failure {
  return { kind: 'failed', as, message }
}
