import { HeraldError } from '../errors/herald-error.ts'
import { tokenIdOf } from '../identity/audit.ts'
import type { JwtVerifier } from '../identity/jwt-verifier.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { verifyX509Svid } from '../spiffe/verify-x509-svid.ts'
import type { X509Bundle } from '../spiffe/x509-bundle.ts'
import type { AuthorizationRequest } from './authorization-request.ts'
import { type CalloutPolicy, type Permission, permissionOf } from './callout-policy.ts'

export type AuthorizeOptions = {
  readonly policy: CalloutPolicy
  readonly verifier: JwtVerifier
  readonly x509BundleOf: (trustDomain: TrustDomain) => X509Bundle | undefined
  /** Whether SPIRE has an entry for it now; absent: nobody asks. */
  readonly isRegistered?: ((spiffeId: SpiffeId) => Promise<boolean>) | undefined
  readonly nowMs: number
}

/** Who it is, by what, and what it may do until when. */
export type Authorization = {
  readonly spiffeId: SpiffeId
  readonly by: 'jwt' | 'x509'
  readonly tokenId?: string
  readonly permission: Permission
  readonly expiresAt: Date
}

/** Less than this is left of what is shown: not worth a connection, ms. */
const leastLeftMs = 1_000

/**
 * Verifies what a client shows, a JWT-SVID or the certificate of its TLS, and looks up what it may do. One that shows both must be the same in both.
 * @throws ERR_CALLOUT_DENIED · ERR_JWT_SVID_… · ERR_JWT_BUNDLE_… · ERR_X509_SVID_…
 */
export async function authorize(
  { token, certificates }: AuthorizationRequest,
  { policy, verifier, x509BundleOf, isRegistered, nowMs }: AuthorizeOptions,
): Promise<Authorization> {
  const byJwt = token === undefined ? undefined : await verifier.verify(token, policy.audience)
  // Beside a token a certificate that is no SVID is the TLS layer's business alone.
  const byX509 =
    certificates.length === 0 || (byJwt !== undefined && !isSvid(certificates[0]))
      ? undefined
      : verifyX509Svid(certificates, { bundleOf: x509BundleOf, nowMs })
  const shown = byJwt ?? byX509
  if (shown === undefined) {
    throw new HeraldError('ERR_CALLOUT_DENIED', 'the client shows neither a JWT-SVID nor a certificate', {
      hint: 'give it one: herald host --nats-svid, or --nats-svid-tls',
    })
  }
  if (byJwt !== undefined && byX509 !== undefined && byJwt.spiffeId !== byX509.spiffeId) {
    throw new HeraldError(
      'ERR_CALLOUT_DENIED',
      `the token is of ${byJwt.spiffeId}, the certificate of ${byX509.spiffeId}`,
    )
  }
  const permission = permissionOf(policy, shown.spiffeId)
  if (isRegistered !== undefined && !(await isRegistered(shown.spiffeId))) {
    throw new HeraldError('ERR_CALLOUT_DENIED', `SPIRE has no entry for ${shown.spiffeId} any more`, {
      hint: 'what is shown is valid, but its entry was deleted',
    })
  }
  const expiresAtMs = Math.min(shown.expiresAt.getTime(), nowMs + policy.maxSessionMs)
  if (expiresAtMs - nowMs < leastLeftMs) {
    throw new HeraldError('ERR_CALLOUT_DENIED', `the SVID of ${shown.spiffeId} is about to expire`)
  }
  return {
    spiffeId: shown.spiffeId,
    ...(byJwt === undefined ? { by: 'x509' } : { by: 'jwt', tokenId: tokenIdOf(byJwt) }),
    permission,
    expiresAt: new Date(expiresAtMs),
  }
}

function isSvid(leaf: AuthorizationRequest['certificates'][number] | undefined): boolean {
  return leaf?.subjectAltName?.includes('URI:spiffe://') === true
}
