import type { ConnectNats } from '../capabilities/lattice-source.ts'
import { systemClock } from '../clock/clock.ts'
import type { NatsOptions } from '../config/contexts.ts'
import { connectLattice } from '../lattice/connect-lattice.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { Log } from '../observability/log.ts'
import { latticeCredentials, latticeTls } from './nats-options.ts'
import { natsSvid } from './nats-svid.ts'
import type { NatsSvidOptions } from './nats-svid-options.ts'
import type { OwnSpiffe } from './own-spiffe.ts'

/**
 * Makes connections to NATS; each is its owner's. What one may do there is worth as much as the SVID it was made with: when that is revoked
 * the connection ends at once. `name` is shown in NATS's list of connections.
 * @param own where options ask for SVIDs of this process.
 */
export function natsConnections(
  options: NatsOptions & NatsSvidOptions & { readonly nats: readonly string[] },
  { log, own }: { readonly log: Log; readonly own?: OwnSpiffe | undefined },
): ConnectNats {
  const ofHost = own && natsSvid(options, own)
  const shownByHost = new Set<Lattice>()
  own?.identity.onRevoked(() => {
    if (shownByHost.size === 0) return
    log.warn({ event: 'audit.nats.revoked' }, 'this process lost its identity, and so its connections to NATS')
    for (const lattice of shownByHost) lattice.renew()
  })
  return (name, workload) => {
    const ofWorkload =
      workload &&
      natsSvid(
        { ...options, natsSvid: true, natsAudience: workload.audience },
        { identity: workload.identity, authority: own?.authority },
      )
    const shown = ofWorkload ?? ofHost
    const credentials = shown?.credentials ?? latticeCredentials(options)
    const tls = shown?.tls ?? latticeTls(options)
    const lattice = connectLattice({
      servers: options.nats,
      name,
      log,
      clock: systemClock,
      tls,
      ...(credentials && { credentials }),
    })
    if (shown !== undefined && shown === ofHost) {
      shownByHost.add(lattice)
      lattice.onStateChange(({ kind }) => kind === 'closed' && shownByHost.delete(lattice))
    }
    return lattice
  }
}
