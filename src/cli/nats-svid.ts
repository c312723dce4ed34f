import { systemClock as clock } from '../clock/clock.ts'
import type { NatsOptions } from '../config/contexts.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { createOwnIdentity, type OwnIdentity } from '../identity/own-identity.ts'
import { createWorkloadAuthority, type WorkloadAuthority } from '../identity/spire/workload-authority.ts'
import type { LatticeCredentials, LatticeTls } from '../lattice/nats-options.ts'
import { inboxPrefixOf } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import type { CliEnvironment } from './environment.ts'
import { defaultNatsAudience, type NatsSvidOptions } from './nats-svid-options.ts'

/** The identity of this process, from its Workload API. */
export interface OwnSpiffe extends AsyncDisposable {
  readonly authority: WorkloadAuthority
  readonly identity: OwnIdentity
}

/** @throws ERR_USAGE without a socket · ERR_SPIFFE_ID_INVALID */
export function openOwnSpiffe(options: NatsSvidOptions, environment: CliEnvironment, log: Log): OwnSpiffe {
  const socketPath = options.spireWorkloadSocket ?? environment.spiffeEndpointSocket
  if (socketPath === undefined) {
    throw new HeraldError('ERR_USAGE', 'the identity of this process is needed, and no Workload API socket was named', {
      hint: 'give --spire-workload-socket PATH or SPIFFE_ENDPOINT_SOCKET',
    })
  }
  const spiffeId = options.ownSpiffeId === undefined ? undefined : parseSpiffeId(options.ownSpiffeId)
  const authority = createWorkloadAuthority({ socketPath, log, clock })
  const identity = createOwnIdentity({ authority, spiffeId, clock, log })
  return {
    authority,
    identity,
    async [Symbol.asyncDispose]() {
      identity[Symbol.dispose]()
      await authority[Symbol.asyncDispose]()
    },
  }
}

/** What a connection shows; both parts are renewed by themselves. @throws ERR_SPIFFE_ID_INVALID */
export function natsSvid(
  options: NatsSvidOptions & NatsOptions,
  { identity, authority }: OwnSpiffe,
): { readonly credentials?: LatticeCredentials; readonly tls?: LatticeTls } {
  const { natsAudience: audience = defaultNatsAudience, natsTlsFirst } = options
  const serverId = options.natsServerId === undefined ? undefined : parseSpiffeId(options.natsServerId)
  let own: SpiffeId | undefined
  const hasOther = (options.natsCreds ?? options.natsNkey ?? options.natsTokenFile) !== undefined
  const held = () => {
    const svid = identity.heldX509Svid()
    if (svid !== undefined) return svid
    throw new HeraldError('ERR_X509_SVID_UNAVAILABLE', 'this process has no valid X.509-SVID to show to NATS')
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
      ca: () => authority.currentX509Bundle(trustDomainOf(serverId ?? held().spiffeId))?.toPem() ?? '',
      serverId,
    },
    ...(natsTlsFirst === true && { handshakeFirst: true }),
  }
  return hasOther ? { tls } : { credentials, tls }
}
