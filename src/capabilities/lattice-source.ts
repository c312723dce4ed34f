import type { ShownSvids } from '../identity/shown-svids.ts'
import type { Lattice } from '../lattice/lattice.ts'

/** The host's connections to NATS for capabilities, made when first asked for. They stay the host's. */
export type LatticeSource = (purpose: 'storage' | 'messaging') => Lattice

/** Makes a connection, the caller's to dispose: as the host, or as a workload by its own SVIDs. */
export type ConnectNats = (
  name: string,
  workload?: { readonly identity: ShownSvids; readonly audience: string },
) => Lattice
