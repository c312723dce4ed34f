import type { Clock } from '../../clock/clock.ts'
import type { JwtVerifier } from '../../identity/jwt-verifier.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import { callAudience } from './call-key.ts'

export type PeerTokenOptions = {
  readonly verifier: JwtVerifier
  /** Whoever verifies: believes the trust domains that its own entries federate with. */
  readonly identity: Pick<ComponentIdentity, 'trusts'>
  readonly clock: Clock
}

/** Longest wait for the authority's word on a trust domain, ms. */
const trustWaitMs = 5_000

/** How long a token that was verified is believed without looking at the bundle again, ms: a key that is withdrawn counts until then. */
const believedMs = 5_000

/** Who is at the other end of a session, as its JWT-SVID for the key there says; looked at again every few seconds while it is used. */
export class PeerToken {
  readonly spiffeId: SpiffeId
  readonly expiresAtMs: number
  readonly #token: string
  readonly #key: string
  readonly #options: PeerTokenOptions
  #believedUntilMs = 0

  private constructor(
    { spiffeId, expiresAt }: { spiffeId: SpiffeId; expiresAt: Date },
    ...[token, key, options]: [string, string, PeerTokenOptions]
  ) {
    this.spiffeId = spiffeId
    this.expiresAtMs = expiresAt.getTime()
    this.#token = token
    this.#key = key
    this.#options = options
    this.#believe()
  }

  /** @param key the public key that it must be for. @throws as `JwtVerifier.verify` */
  static async verify(token: string, key: string, options: PeerTokenOptions): Promise<PeerToken> {
    return new PeerToken(await verify(token, key, options), token, key, options)
  }

  /** Whether it was verified a moment ago, and lives. */
  get isBelieved(): boolean {
    return this.#options.clock.nowMs() < this.#believedUntilMs
  }

  /** @throws as {@link verify} */
  async verifyAgain(): Promise<void> {
    await verify(this.#token, this.#key, this.#options)
    this.#believe()
  }

  #believe(): void {
    this.#believedUntilMs = Math.min(this.expiresAtMs, this.#options.clock.nowMs() + believedMs)
  }
}

function verify(token: string, key: string, { verifier, identity }: PeerTokenOptions): Promise<JwtSvid> {
  return verifier.verify(token, callAudience(key), {
    trusts: (trustDomain) => identity.trusts(trustDomain, { signal: AbortSignal.timeout(trustWaitMs) }),
  })
}
