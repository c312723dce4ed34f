import type { Clock } from '../clock/clock.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import { trustDomainOf } from '../spiffe/spiffe-id.ts'
import { verifyJwtSvid } from '../spiffe/verify-jwt-svid.ts'
import { Deadline } from './deadline.ts'
import type { JwtBundleSource } from './svid-authority.ts'

export type VerificationOptions = {
  readonly authority: JwtBundleSource
  readonly clock: Clock
  /** How long a bundle that does not hold the key yet is waited for, ms: keys rotate, and a token may overtake the bundle. */
  readonly keyWaitMs: number
}

/** Checks an SVID against the authority's bundle of its trust domain. @throws ERR_JWT_BUNDLE_UNKNOWN and what `verifyJwtSvid` throws */
export async function verifyByAuthority(
  svid: JwtSvid,
  audiences: readonly string[],
  { authority, clock, keyWaitMs }: VerificationOptions,
): Promise<void> {
  const trustDomain = trustDomainOf(svid.spiffeId)
  let bundle = authority.currentJwtBundle(trustDomain)
  if (bundle === undefined || (svid.keyId !== undefined && !bundle.has(svid.keyId))) {
    using deadline = new Deadline(clock, keyWaitMs)
    bundle = await authority.jwtBundle(trustDomain, { signal: deadline.signal, keyId: svid.keyId })
  }
  verifyJwtSvid(svid, { bundle, audiences, nowMs: clock.nowMs() })
}
