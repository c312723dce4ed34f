import type { ConnectNats } from '../capabilities/lattice-source.ts'
import { systemClock } from '../clock/clock.ts'
import type { NatsOptions } from '../config/contexts.ts'
import { connectLattice } from '../lattice/connect-lattice.ts'
import type { Log } from '../observability/log.ts'
import { latticeCredentials, latticeTls } from './nats-options.ts'
import { natsSvid } from './nats-svid.ts'
import type { NatsSvidOptions } from './nats-svid-options.ts'
import type { OwnSpiffe } from './own-spiffe.ts'

/**
 * Makes connections to NATS; each is its owner's. `name` is shown in NATS's list of connections.
 * @param own where options ask for SVIDs of this process.
 */
export function natsConnections(
  options: NatsOptions & NatsSvidOptions & { readonly nats: readonly string[] },
  { log, own }: { readonly log: Log; readonly own?: OwnSpiffe | undefined },
): ConnectNats {
  const ofHost = own && natsSvid(options, own)
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
    return connectLattice({
      servers: options.nats,
      name,
      log,
      clock: systemClock,
      tls,
      ...(credentials && { credentials }),
    })
  }
}
