import { systemClock } from '../clock/clock.ts'
import type { NatsOptions } from '../config/contexts.ts'
import { connectLattice } from '../lattice/connect-lattice.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { LatticeCredentials, LatticeTls } from '../lattice/nats-options.ts'
import type { Log } from '../observability/log.ts'
import { latticeCredentials, latticeTls } from './nats-options.ts'

/**
 * Makes connections like the control one's for other purposes; each is its owner's. `name` is shown in NATS's list of connections.
 * @param shown what is shown instead of what the options say: SVIDs of this process.
 */
export function natsConnections(
  options: NatsOptions & { readonly nats: readonly string[] },
  {
    log,
    shown,
  }: { readonly log: Log; readonly shown?: { credentials?: LatticeCredentials; tls?: LatticeTls } | undefined },
): (name: string) => Lattice {
  const credentials = shown?.credentials ?? latticeCredentials(options)
  const tls = shown?.tls ?? latticeTls(options)
  return (name) =>
    connectLattice({
      servers: options.nats,
      name,
      log,
      clock: systemClock,
      tls,
      ...(credentials && { credentials }),
    })
}
