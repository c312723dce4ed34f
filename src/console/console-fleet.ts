/** What the console is told of the hosts of a lattice. All text in it comes from the lattice: hostile until {@link fleetView} has bounded it. */
export type ConsoleFleet = {
  readonly hosts: readonly ConsoleHost[]
  readonly workloads: readonly ConsoleWorkload[]
  /** Hosts that did not say, or not all, of what they run, and why. */
  readonly silent: readonly { readonly host: { readonly id: string }; readonly reason: string }[]
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
    readonly audiences: readonly string[]
  }[]
}
