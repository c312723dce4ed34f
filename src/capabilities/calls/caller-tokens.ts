import { createHash } from 'node:crypto'
import type { Clock } from '../../clock/clock.ts'
import type { JwtVerifier } from '../../identity/jwt-verifier.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'

/** How long a token that was verified is believed without looking at the bundle again, ms: a key that is withdrawn counts until then. */
const believedMs = 5_000
const maxKept = 1_024

/** Verifies callers' tokens for one callee, each once in a while: callers present the same one until it is renewed. */
export class CallerTokens {
  readonly #audience: SpiffeId
  readonly #verifier: JwtVerifier
  readonly #clock: Clock
  /** By hash: what is kept is no token. */
  readonly #known = new Map<string, { readonly caller: SpiffeId; readonly untilMs: number }>()

  constructor(audience: SpiffeId, { verifier, clock }: { verifier: JwtVerifier; clock: Clock }) {
    this.#audience = audience
    this.#verifier = verifier
    this.#clock = clock
  }

  /** At once for one that was verified a moment ago; `undefined`: {@link verify} has to. */
  known(token: string): SpiffeId | undefined {
    const kept = this.#known.get(hashOf(token))
    return kept !== undefined && this.#clock.nowMs() < kept.untilMs ? kept.caller : undefined
  }

  /** Who presents it. @throws as `JwtVerifier.verify` */
  async verify(token: string): Promise<SpiffeId> {
    const { spiffeId, expiresAt } = await this.#verifier.verify(token, this.#audience)
    if (this.#known.size >= maxKept) this.#known.clear()
    const untilMs = Math.min(expiresAt.getTime(), this.#clock.nowMs() + believedMs)
    this.#known.set(hashOf(token), { caller: spiffeId, untilMs })
    return spiffeId
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
