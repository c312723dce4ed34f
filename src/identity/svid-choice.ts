import { HeraldError } from '../errors/herald-error.ts'
import { type JwtSvid, parseJwtSvid } from '../spiffe/jwt-svid.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { IssuedJwtSvid } from './svid-authority.ts'

/**
 * The one SVID among all that the authority issued: that of the configured SPIFFE ID, or the only one there is.
 * Several entries of one SPIFFE ID are one identity; the token that lives longest is taken.
 * @throws ERR_SVID_AMBIGUOUS · ERR_SVID_SPIFFE_ID_NOT_ISSUED (both name the candidates: for the operator, not for the guest) ·
 * ERR_SPIRE_NO_IDENTITY_ISSUED for an empty list · ERR_JWT_SVID_INVALID
 */
export function chooseJwtSvid(issued: readonly IssuedJwtSvid[], configured: SpiffeId | undefined): JwtSvid {
  const byId = new Map<SpiffeId, JwtSvid>()
  for (const { token } of issued) {
    const svid = parseJwtSvid(token)
    const other = byId.get(svid.spiffeId)
    if (other === undefined || other.expiresAt < svid.expiresAt) byId.set(svid.spiffeId, svid)
  }
  const candidates = [...byId.keys()].sort()
  const [only] = candidates
  if (only === undefined) {
    throw new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'the authority answered with an empty list of SVIDs')
  }
  if (configured !== undefined) {
    const svid = byId.get(configured)
    if (svid !== undefined) return svid
    throw new HeraldError(
      'ERR_SVID_SPIFFE_ID_NOT_ISSUED',
      `no matching entry has the configured spiffe-id ${configured}; those that match have ${namedCandidates(candidates)}`,
      { hint: 'correct spiffe-id in the hostInterfaces entry of wasmcloud:identity, or create the entry' },
    )
  }
  if (candidates.length > 1) {
    throw new HeraldError(
      'ERR_SVID_AMBIGUOUS',
      `several SPIFFE IDs match the component: ${namedCandidates(candidates)}`,
      {
        hint: 'choose one by spiffe-id in the hostInterfaces entry of wasmcloud:identity, or narrow the selectors of the entries',
      },
    )
  }
  return byId.get(only)!
}

/** For a message: the first few, however many there are. */
export function namedCandidates(candidates: readonly SpiffeId[]): string {
  const shown = candidates.slice(0, 8).join(', ')
  return candidates.length <= 8 ? shown : `${shown} and ${candidates.length - 8} more`
}
