import type { X509Certificate } from 'node:crypto'
import { HeraldError } from '../errors/herald-error.ts'
import { limitsOf, permitsHost } from './certificate-limits.ts'
import { type SpiffeId, trustDomainOf } from './spiffe-id.ts'
import type { TrustDomain } from './trust-domain.ts'
import type { X509Bundle } from './x509-bundle.ts'
import { spiffeIdOfLeaf } from './x509-svid.ts'

export type VerifiedX509Svid = {
  readonly spiffeId: SpiffeId
  /** The first expiry of the chain. */
  readonly expiresAt: Date
}

const maxIntermediates = 8

/**
 * X509-SVID §5: form of the leaf, and a path of valid signatures and times to an authority of the leaf's own trust domain, whatever other
 * trust domain's authorities are known, within the lengths and the trust domains that each authority is constrained to (RFC 5280 §6.1.4).
 * Whether the peer has the key is the TLS handshake's to prove.
 * @param chain leaf first. @param bundleOf the authorities of a trust domain, if it is trusted.
 * @throws ERR_X509_SVID_INVALID · ERR_X509_SVID_UNTRUSTED
 */
export function verifyX509Svid(
  chain: readonly X509Certificate[],
  { bundleOf, nowMs }: { bundleOf: (trustDomain: TrustDomain) => X509Bundle | undefined; nowMs: number },
): VerifiedX509Svid {
  const [leaf, ...intermediates] = chain
  if (leaf === undefined) throw new HeraldError('ERR_X509_SVID_INVALID', 'not an X.509-SVID: it has no certificate')
  const spiffeId = spiffeIdOfLeaf(leaf)
  const untrusted = (why: string): HeraldError =>
    new HeraldError('ERR_X509_SVID_UNTRUSTED', `the X.509-SVID of ${spiffeId} is not to be trusted: ${why}`)
  const trustDomain = trustDomainOf(spiffeId)
  const bundle = bundleOf(trustDomain)
  if (bundle === undefined) throw untrusted(`the trust domain ${trustDomain} is not known here`)

  let expiresAt = leaf.validToDate
  const checkTimes = (certificate: X509Certificate): void => {
    if (certificate.validFromDate.getTime() > nowMs) throw untrusted('it is not valid yet')
    if (certificate.validToDate.getTime() <= nowMs) throw untrusted('it has expired')
    if (certificate.validToDate < expiresAt) expiresAt = certificate.validToDate
  }
  const hasAuthorised = (issuer: X509Certificate, issued: X509Certificate, below: number): boolean => {
    if (!hasIssued(issuer, issued)) return false
    const limits = limitsOf(issuer)
    return below <= (limits.maxBelow ?? below) && permitsHost(limits, trustDomain)
  }
  let current = leaf
  /** Certificates between the leaf and the next issuer; one that an authority issued to itself, as at a change of keys, counts nothing. */
  let below = 0
  for (let depth = 0; depth <= maxIntermediates; depth++) {
    checkTimes(current)
    const authority = bundle.authorities.find((each) => hasAuthorised(each, current, below))
    if (authority !== undefined) {
      checkTimes(authority)
      return { spiffeId, expiresAt }
    }
    const issued = current
    const issuer = intermediates.find((each) => each !== issued && each.ca && hasAuthorised(each, issued, below))
    if (issuer === undefined) break
    if (issuer.subject !== issuer.issuer) below += 1
    current = issuer
  }
  throw untrusted(`no authority of ${trustDomain} vouches for it`)
}

function hasIssued(authority: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
}
