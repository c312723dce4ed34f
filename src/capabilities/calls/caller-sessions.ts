import { HeraldError } from '../../errors/herald-error.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import type { CallKey } from './call-key.ts'
import { CallSession } from './call-session.ts'
import type { Greeting } from './greeting-frame.ts'
import { PeerToken, type PeerTokenOptions } from './peer-token.ts'
import { ReplayWindow } from './replay-window.ts'

/** One caller's, with one replica. */
export type CallerSession = {
  readonly session: CallSession
  /** The newest. */
  peer: PeerToken
  readonly window: ReplayWindow
  /** Calls in progress: what the cell knows them by. */
  readonly running: Map<number, number>
}

export type CallerSessionsOptions = PeerTokenOptions & {
  readonly self: SpiffeId
  readonly replica: string
  readonly key: CallKey
}

const maxSessions = 4_096
/** Longer than any call may take: what its window remembers is needed until then, ms. */
const keptMs = 700_000

/** The callers that one replica of a component knows, each until its token expires. */
export class CallerSessions {
  readonly #options: CallerSessionsOptions
  readonly #byId = new Map<string, CallerSession>()
  readonly #byToken = new Map<string, CallerSession>()

  constructor(options: CallerSessionsOptions) {
    this.#options = options
  }

  /** @returns `undefined` for one that has not greeted, or whose token has expired */
  find(id: string): CallerSession | undefined {
    const found = this.#byId.get(id)
    return found !== undefined && found.peer.expiresAtMs > this.#options.clock.nowMs() ? found : undefined
  }

  /**
   * Says nothing of whether the caller may call, or has the key: without it nobody can seal a call.
   * @throws as `JwtVerifier.verify` · ERR_CALL_FAILED for a key that is none, or when there are too many callers
   */
  async greet({ token, key }: Greeting): Promise<CallerSession> {
    const known = this.#byToken.get(token)
    if (known?.peer.isBelieved) return known
    const peer = await PeerToken.verify(token, key, this.#options)
    const session = this.#sessionWith(peer.spiffeId, key)
    const found = this.#byId.get(session.id)
    if (found !== undefined) {
      if (peer.expiresAtMs >= found.peer.expiresAtMs) found.peer = peer
      this.#byToken.set(token, found)
      return found
    }
    this.#makeRoom()
    const made: CallerSession = { session, peer, window: new ReplayWindow(), running: new Map() }
    this.#byId.set(session.id, made)
    this.#byToken.set(token, made)
    return made
  }

  #sessionWith(caller: SpiffeId, callerKey: string): CallSession {
    const { self, replica, key } = this.#options
    try {
      return new CallSession(key, { caller, callerKey, callee: self, calleeKey: key.publicKey, replica })
    } catch (cause) {
      throw new HeraldError('ERR_CALL_FAILED', 'the key of the caller cannot be used', { cause })
    }
  }

  #makeRoom(): void {
    const nowMs = this.#options.clock.nowMs()
    if (this.#byToken.size >= maxSessions) this.#byToken.clear()
    if (this.#byId.size < maxSessions) return
    for (const [id, { peer }] of this.#byId) if (peer.expiresAtMs + keptMs <= nowMs) this.#byId.delete(id)
    if (this.#byId.size >= maxSessions) throw new HeraldError('ERR_CALL_FAILED', 'too many callers')
  }
}
