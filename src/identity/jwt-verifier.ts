import type { Clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { type JwtSvid, parseJwtSvid } from '../spiffe/jwt-svid.ts'
import { trustDomainOf } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { JwtBundleSource } from './svid-authority.ts'
import { verifyByAuthority } from './svid-verification.ts'

/** Verifies tokens that others present, against the bundles of the own trust domain and of federated ones. */
export interface JwtVerifier {
  /**
   * @throws ERR_JWT_SVID_… for what is not to be believed · ERR_JWT_BUNDLE_UNKNOWN: no keys of its trust domain · what `trusts` throws
   */
  verify(token: string, audience: string, options?: VerifyOptions): Promise<JwtSvid>
}

export type VerifyOptions = {
  /**
   * Whether whoever verifies believes a trust domain. An agent knows the keys of all that any of its entries federates with; asked once
   * the token is known to be genuine, and only where several are known. Default: each whose keys are known.
   */
  readonly trusts?: (trustDomain: TrustDomain) => Promise<boolean>
}

/** Whoever presents a token chooses its `kid`: nobody waits long for a key that may not exist, ms. */
const keyWaitMs = 1_000

export function createJwtVerifier({ authority, clock }: { authority: JwtBundleSource; clock: Clock }): JwtVerifier {
  return {
    async verify(token, audience, { trusts } = {}) {
      const svid = parseJwtSvid(token)
      const trustDomain = trustDomainOf(svid.spiffeId)
      // Checked first, so that only what is meant for this audience and still alive can make anybody wait.
      if (!svid.audiences.includes(audience)) {
        throw new HeraldError('ERR_JWT_SVID_UNTRUSTED', 'the token is for another audience')
      }
      if (authority.status().kind === 'ready' && authority.currentJwtBundle(trustDomain) === undefined) {
        throw new HeraldError(
          'ERR_JWT_SVID_UNTRUSTED',
          `the trust domain ${trustDomain} is not known here: it is not federated`,
        )
      }
      await verifyByAuthority(svid, [audience], { authority, clock, keyWaitMs })
      const status = authority.status()
      const isOnly = status.kind === 'ready' && status.trustDomains.length === 1
      if (trusts !== undefined && !isOnly && !(await trusts(trustDomain))) {
        throw new HeraldError(
          'ERR_JWT_SVID_UNTRUSTED',
          `the trust domain ${trustDomain} is not federated with this component`,
          { hint: `let its registration entry federate with it: -federatesWith spiffe://${trustDomain}` },
        )
      }
      return svid
    },
  }
}
