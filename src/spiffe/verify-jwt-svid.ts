import { HeraldError } from '../errors/herald-error.ts'
import type { JwtBundle } from './jwt-bundle.ts'
import type { JwtSvid } from './jwt-svid.ts'
import { trustDomainOf } from './spiffe-id.ts'

export type JwtSvidExpectation = {
  /** Of the `sub`'s trust domain. */
  readonly bundle: JwtBundle
  /** Every one of them must be in `aud`. */
  readonly audiences: readonly string[]
  readonly nowMs: number
}

/** For clocks that differ: how early a token may be used, ms. RFC 7519 §4.1.5 allows a few minutes. */
const notBeforeLeewayMs = 60_000

/**
 * JWT-SVID §4: audience, expiry (no leeway), `nbf` if there is one, trust domain, signature.
 * @throws ERR_JWT_SVID_EXPIRED · ERR_JWT_SVID_KEY_UNKNOWN (the bundle may be about to learn of it) · ERR_JWT_SVID_UNTRUSTED
 */
export function verifyJwtSvid(svid: JwtSvid, { bundle, audiences, nowMs }: JwtSvidExpectation): void {
  for (const audience of audiences) {
    if (!svid.audiences.includes(audience)) throw untrusted(svid, 'it is for another audience')
  }
  if (svid.expiresAt.getTime() <= nowMs) {
    throw new HeraldError(
      'ERR_JWT_SVID_EXPIRED',
      `the JWT-SVID of ${svid.spiffeId} expired at ${svid.expiresAt.toISOString()}`,
      { hint: 'compare the clocks of this machine and of the SPIRE server' },
    )
  }
  if (svid.notBefore !== undefined && svid.notBefore.getTime() > nowMs + notBeforeLeewayMs) {
    throw untrusted(svid, `it is not valid before ${svid.notBefore.toISOString()}`)
  }
  if (trustDomainOf(svid.spiffeId) !== bundle.trustDomain) {
    throw untrusted(svid, `it is not of the trust domain ${bundle.trustDomain}`)
  }
  const key = bundle.keyOf(svid)
  if (key === undefined) {
    throw new HeraldError(
      'ERR_JWT_SVID_KEY_UNKNOWN',
      `the JWT-SVID of ${svid.spiffeId} is signed by a key that the bundle of ${bundle.trustDomain} does not hold`,
    )
  }
  if (!key.hasSigned(svid.reveal(), svid.algorithm)) throw untrusted(svid, 'its signature is wrong')
}

function untrusted(svid: JwtSvid, why: string): HeraldError {
  return new HeraldError('ERR_JWT_SVID_UNTRUSTED', `the JWT-SVID of ${svid.spiffeId} is not to be trusted: ${why}`)
}
