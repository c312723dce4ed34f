import type { Clock } from '../clock/clock.ts'
import { type HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import { trustDomainOf } from '../spiffe/spiffe-id.ts'
import { verifyJwtSvid } from '../spiffe/verify-jwt-svid.ts'
import { startDeadline } from './deadline.ts'
import type { SvidAuthority } from './svid-authority.ts'

/**
 * Checks an SVID against the authority's bundle of its trust domain. When the bundle does not hold the key yet (keys rotate), it waits
 * for it for up to `keyWaitMs`.
 * @throws ERR_JWT_BUNDLE_UNKNOWN and what `verifyJwtSvid` throws
 */
export async function verifyByAuthority(
  svid: JwtSvid,
  audiences: readonly string[],
  {
    authority,
    clock,
    keyWaitMs,
    signal,
  }: { authority: SvidAuthority; clock: Clock; keyWaitMs: number; signal: AbortSignal },
): Promise<void> {
  using deadline = startDeadline(clock, keyWaitMs, signal)
  const bundle = await authority.jwtBundle(trustDomainOf(svid.spiffeId), {
    signal: deadline.signal,
    keyId: svid.keyId,
  })
  await verifyJwtSvid(svid, { bundle, audiences, nowMs: clock.nowMs() })
}

/** Whether the authority says no, as opposed to saying nothing: then what is held is no longer to be used. */
export function isDenial(error: unknown): error is HeraldError {
  return (
    isHeraldError(error, 'ERR_SPIRE_NO_IDENTITY_ISSUED') ||
    isHeraldError(error, 'ERR_SPIRE_HOST_UNREGISTERED') ||
    isHeraldError(error, 'ERR_SPIRE_DELEGATE_UNAUTHORIZED') ||
    isHeraldError(error, 'ERR_SVID_AMBIGUOUS') ||
    isHeraldError(error, 'ERR_SVID_SPIFFE_ID_NOT_ISSUED')
  )
}
