import type { NatsOptions } from '../config/contexts.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { ShownSvids } from '../identity/shown-svids.ts'
import type { LatticeCredentials, LatticeTls } from '../lattice/nats-options.ts'
import { inboxPrefixOf } from '../lattice/subjects.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { defaultNatsAudience, type NatsSvidOptions } from './nats-svid-options.ts'
import type { OwnSpiffe } from './own-spiffe.ts'

/**
 * What a connection shows; both parts are renewed by themselves. `authority` may be absent without `natsSvidTls`.
 * @throws ERR_SPIFFE_ID_INVALID
 */
export function natsSvid(
  options: NatsSvidOptions & NatsOptions,
  { identity, authority }: { readonly identity: ShownSvids; readonly authority: OwnSpiffe['authority'] | undefined },
): { readonly credentials?: LatticeCredentials; readonly tls?: LatticeTls } {
  const { natsAudience: audience = defaultNatsAudience, natsTlsFirst } = options
  const serverId = options.natsServerId === undefined ? undefined : parseSpiffeId(options.natsServerId)
  let own: SpiffeId | undefined
  const hasOther = (options.natsCreds ?? options.natsNkey ?? options.natsTokenFile) !== undefined
  const held = () => {
    const svid = identity.heldX509Svid()
    if (svid !== undefined) return svid
    throw new HeraldError('ERR_X509_SVID_UNAVAILABLE', 'there is no valid X.509-SVID to show to NATS')
  }
  const credentials: LatticeCredentials = {
    kind: 'svid',
    async ready({ signal }) {
      if (options.natsSvidTls) own = (await identity.fetchX509Svid({ signal })).spiffeId
      if (options.natsSvid) own = (await identity.fetchJwtSvid(audience, { signal })).spiffeId
    },
    ...(options.natsSvid && { token: () => identity.heldJwtSvid(audience)?.reveal() }),
    inboxPrefix: () => (own === undefined ? '_INBOX' : inboxPrefixOf(own)),
  }
  if (!options.natsSvidTls) return { credentials }
  const tls: LatticeTls = {
    svid: {
      cert: () => held().revealForTls().cert,
      key: () => held().revealForTls().key,
      ca: () => authority?.currentX509Bundle(trustDomainOf(serverId ?? held().spiffeId))?.toPem() ?? '',
      serverId,
    },
    ...(natsTlsFirst === true && { handshakeFirst: true }),
  }
  return hasOther ? { tls } : { credentials, tls }
}
