import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock/clock.ts'
import { HeraldError, isHeraldError } from '../../errors/herald-error.ts'
import type { JwtVerifier } from '../../identity/jwt-verifier.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import { callReplicaSubject, callSubject } from '../../lattice/call-subjects.ts'
import type { Lattice } from '../../lattice/lattice.ts'
import type { Subject } from '../../lattice/subjects.ts'
import type { Log } from '../../observability/log.ts'
import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import type { RefusedCall } from './call-frame.ts'
import type { CallKey } from './call-key.ts'
import { CallSession } from './call-session.ts'
import { encodeGreeting, type Greeting, type Introduction, parseIntroduction } from './greeting-frame.ts'
import { PeerToken } from './peer-token.ts'

/** One replica of a callee that has proved who it is. */
export type CalleeReplica = {
  readonly id: string
  readonly subject: Subject
  readonly session: CallSession
  readonly peer: PeerToken
  /** The own token that it knows. */
  readonly introducedBy: JwtSvid
  readonly token: string
  /** Calls of this component that it has not answered. */
  readonly load: { inFlight: number }
}

export type CalleeReplicasOptions = {
  readonly callee: SpiffeId
  /** The host's. */
  readonly key: CallKey
  readonly verifier: JwtVerifier
  /** The caller's. */
  readonly identity: Pick<ComponentIdentity, 'trusts'>
  readonly lattice: Lattice
  readonly clock: Clock
  readonly log: Log
}

/** How often a component that calls looks for replicas that are new, ms. */
const lookAgainMs = 10_000
/** Replicas are taken to have answered when none has for so long, ms. */
const quietMs = 200
const longestLookMs = 2_000
const maxReplicas = 256

/** The replicas of one callee that a caller knows: found by asking, each believed by its own token only. */
export class CalleeReplicas {
  readonly #options: CalleeReplicasOptions
  readonly #known = new Map<string, CalleeReplica>()
  #greeting: { readonly by: JwtSvid; readonly done: Promise<RefusedCall | undefined> } | undefined
  #lookedMs = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(options: CalleeReplicasOptions) {
    this.#options = options
  }

  /**
   * The one with the fewest calls of those that know this token and are not among `tired`.
   * @param timeoutMs for asking who there is, when none is known
   * @throws ERR_LATTICE_NO_RESPONDERS and others of `Lattice.request` · ERR_JWT_… : who answered is not the callee · the signal's reason
   */
  async pick(
    own: JwtSvid,
    { tired, timeoutMs, signal }: { tired: ReadonlySet<string>; timeoutMs: number; signal: AbortSignal },
  ): Promise<CalleeReplica | RefusedCall> {
    let chosen = this.#choose(own, tired)
    if (chosen === undefined) {
      const refused = await this.#greet(own, timeoutMs, signal)
      chosen = this.#choose(own, tired) ?? this.#choose(own, new Set())
      if (chosen === undefined) return refused ?? noneThere
    }
    if (!chosen.peer.isBelieved) {
      try {
        await chosen.peer.verifyAgain()
      } catch (error) {
        this.forget(chosen)
        throw error
      }
    }
    if (this.#options.clock.nowMs() - this.#lookedMs > lookAgainMs) void this.#look(own)
    return chosen
  }

  /** For one that has forgotten who this is. @throws as {@link pick} */
  async greetAgain(
    { subject, introducedBy }: CalleeReplica,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<void> {
    const greeting = this.#greetingOf(introducedBy)
    const answer = parseIntroduction(
      await this.#options.lattice.request(subject, encodeGreeting(greeting), { timeoutMs, signal }),
    )
    if (answer !== undefined && !('kind' in answer)) await this.#meet(introducedBy, greeting, answer)
  }

  /** It answers no more, or knows this host no more. */
  forget({ id }: CalleeReplica): void {
    this.#known.delete(id)
    this.#lookedMs = Number.NEGATIVE_INFINITY
  }

  close(): void {
    this.#closed = true
    this.#known.clear()
  }

  #choose(own: JwtSvid, tired: ReadonlySet<string>): CalleeReplica | undefined {
    const nowMs = this.#options.clock.nowMs()
    let best: CalleeReplica | undefined
    for (const replica of this.#known.values()) {
      if (replica.introducedBy !== own || tired.has(replica.id) || replica.peer.expiresAtMs <= nowMs) continue
      if (best === undefined || replica.load.inFlight < best.load.inFlight) best = replica
    }
    if (best === undefined) return undefined
    // Last of its equals next time.
    this.#known.delete(best.id)
    this.#known.set(best.id, best)
    return best
  }

  /** Once for all who wait with the same token. */
  async #greet(own: JwtSvid, timeoutMs: number, signal: AbortSignal): Promise<RefusedCall | undefined> {
    if (this.#greeting?.by !== own) {
      const done = this.#greetOne(own, timeoutMs).finally(() => {
        if (this.#greeting?.done === done) this.#greeting = undefined
      })
      done.catch(() => {})
      this.#greeting = { by: own, done }
    }
    const { promise, reject } = Promise.withResolvers<never>()
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      signal.throwIfAborted()
      return await Promise.race([this.#greeting.done, promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async #greetOne(own: JwtSvid, timeoutMs: number): Promise<RefusedCall | undefined> {
    const greeting = this.#greetingOf(own)
    const { lattice, callee } = this.#options
    const answer = parseIntroduction(
      await lattice.request(callSubject(callee), encodeGreeting(greeting), { timeoutMs }),
    )
    if (answer === undefined) return { kind: 'refused', refusal: 'failed', message: 'no answer that is known here' }
    if ('kind' in answer) return answer
    await this.#meet(own, greeting, answer)
    return undefined
  }

  /** Asks all there are. Never rejects. */
  async #look(own: JwtSvid): Promise<void> {
    const { lattice, callee, clock, log } = this.#options
    this.#lookedMs = clock.nowMs()
    const greeting = this.#greetingOf(own)
    try {
      const options = { quietMs, timeoutMs: longestLookMs }
      for (const frame of await lattice.requestMany(callSubject(callee), encodeGreeting(greeting), options)) {
        const answer = parseIntroduction(frame)
        if (answer !== undefined && !('kind' in answer)) await this.#meet(own, greeting, answer)
      }
    } catch (error) {
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      log.debug({ event: 'call.look-failed', callee, code }, 'not all replicas of a callee could be asked')
    }
  }

  #greetingOf(own: JwtSvid): Greeting {
    const nonce = randomBytes(16).toString('base64url')
    return { key: this.#options.key.publicKey, nonce, token: own.reveal() }
  }

  /** @throws as `JwtVerifier.verify` · ERR_CALLEE_NOT_PROVED */
  async #meet(own: JwtSvid, greeting: Greeting, introduction: Introduction): Promise<void> {
    const { callee } = this.#options
    const { replica, key: calleeKey, token, proof } = introduction
    const known = this.#known.get(replica)
    const isKnown = known?.token === token && known.peer.isBelieved && known.introducedBy.spiffeId === own.spiffeId
    const peer = isKnown ? known.peer : await PeerToken.verify(token, calleeKey, this.#options)
    if (peer.spiffeId !== callee) throw notProved(`${peer.spiffeId} answers in its place`)
    const session = isKnown ? known.session : this.#sessionWith(own.spiffeId, introduction)
    if (!session.hasProved(greeting.nonce, Buffer.from(proof, 'base64url')))
      throw notProved('who answers has not the key of its token')
    if (this.#closed || (this.#known.size >= maxReplicas && !this.#known.has(replica))) return
    const load = this.#known.get(replica)?.load ?? { inFlight: 0 }
    const subject = callReplicaSubject(callee, replica)
    this.#known.set(replica, { id: replica, subject, session, peer, introducedBy: own, token, load })
  }

  #sessionWith(caller: SpiffeId, { key: calleeKey, replica }: Introduction): CallSession {
    const { callee, key } = this.#options
    try {
      return new CallSession(key, { caller, callerKey: key.publicKey, callee, calleeKey, replica })
    } catch {
      throw notProved('its key cannot be used')
    }
  }
}

const noneThere: RefusedCall = { kind: 'refused', refusal: 'stopping', message: 'nobody serves it now' }

function notProved(why: string): HeraldError {
  return new HeraldError('ERR_CALLEE_NOT_PROVED', `the callee has not proved who it is: ${why}`, {
    hint: 'see who else may subscribe to its subject on NATS',
  })
}
