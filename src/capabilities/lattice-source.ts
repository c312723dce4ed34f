import type { Lattice } from '../lattice/lattice.ts'

/** The host's connections to NATS for capabilities, made when first asked for. They stay the host's. */
export type LatticeSource = (purpose: 'storage' | 'messaging') => Lattice
