/** What the console is told of the hosts of a lattice. All text in it comes from the lattice: hostile until {@link fleetView} has bounded it. */
export type ConsoleFleet = {
  readonly hosts: readonly ConsoleHost[]
  readonly workloads: readonly ConsoleWorkload[]
  /** Hosts that did not say, or not all, of what they run, and why. */
  readonly silent: readonly { readonly host: { readonly id: string }; readonly reason: string }[]
  /** Of the workloads of hosts that told it. */
  readonly activity: readonly (ConsoleActivity & { readonly host: { readonly id: string } })[]
  /** What happened with identities, oldest first. */
  readonly events: readonly ConsoleEvent[]
}

/** What one replica has done since it was started. */
export type ConsoleActivity = {
  readonly workloadId: string
  readonly requests: bigint
  readonly failures: bigint
  readonly egressRefusals: bigint
  readonly inFlight: number
  readonly edges: readonly {
    readonly component: string
    readonly kind: 'EDGE_AUDIENCE' | 'EDGE_ORIGIN' | 'EDGE_HOST' | 'EDGE_COMPONENT' | 'EDGE_PUBLISHED' | 'EDGE_HANDLED'
    readonly target: string
    readonly count: bigint
    readonly refused: bigint
    readonly spiffeId: string
    readonly lastAt: Date | undefined
  }[]
}

export type ConsoleEvent = {
  readonly hostId: string
  readonly at: Date | undefined
  /** `audit.identity.granted` */
  readonly event: string
  readonly component: { readonly namespace: string; readonly workload: string; readonly component: string } | undefined
  readonly spiffeId: string
  readonly audience: string
  readonly target: string
  readonly binding: string
  readonly code: string
  readonly reason: string
  readonly count: number
  readonly expiresAt: Date | undefined
  readonly tokenId: string
}

export type ConsoleHost = {
  readonly id: string
  /** False once it drains. */
  readonly acceptsWork: boolean
  /** Where it serves HTTP, as seen from its own machine. */
  readonly url: string
  readonly heartbeat: {
    readonly friendlyName: string
    readonly version: string
    readonly labels: Readonly<Record<string, string>>
    readonly startedAt: Date | undefined
    /** Percent. */
    readonly systemCpuUsage: number
    /** Bytes; 0 when unknown. */
    readonly systemMemoryTotal: bigint
    readonly systemMemoryFree: bigint
  }
}

/** One replica. */
export type ConsoleWorkload = {
  readonly host: { readonly id: string }
  readonly workloadId: string
  readonly namespace: string
  readonly name: string
  /** Of the host protocol: `WORKLOAD_STATE_RUNNING`. */
  readonly state: string
  readonly message: string
  readonly since: Date | undefined
  readonly components: readonly {
    readonly name: string
    readonly image: string
    readonly imageDigest: string
    readonly role: string
    readonly httpHosts: readonly string[]
    readonly listens: readonly string[]
    readonly audiences: readonly string[]
  }[]
}
