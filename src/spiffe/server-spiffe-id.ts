import type { PeerCertificate } from 'node:tls'
import { HeraldError } from '../errors/herald-error.ts'
import type { SpiffeId } from './spiffe-id.ts'

/**
 * `checkServerIdentity` of a TLS client that knows who the server must be (X509-SVID §5.2): the name is not looked at, but the one URI. The chain
 * has been verified by then, and must have been so against the authorities of the SPIFFE ID's own trust domain.
 */
export function serverSpiffeIdCheck(
  serverId: SpiffeId,
): (name: string, certificate: PeerCertificate) => Error | undefined {
  return (_, { subjectaltname = '' }) => {
    const uris = subjectaltname.split(', ').filter((name) => name.startsWith('URI:'))
    if (uris.length === 1 && uris[0] === `URI:${serverId}`) return undefined
    const shown = uris.map((uri) => uri.slice('URI:'.length, 300)).join(', ') || 'no SPIFFE ID'
    return new HeraldError('ERR_X509_SVID_UNTRUSTED', `the server has ${shown}, not ${serverId}`)
  }
}
