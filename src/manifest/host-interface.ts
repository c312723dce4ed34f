/** One entry of a workload's `hostInterfaces`: a WIT package the workload may import, and how it is configured. */
export type HostInterface = {
  readonly namespace: string
  readonly package: string
  readonly version: string | undefined
  readonly interfaces: readonly string[]
  /** Tells several entries of one package apart. */
  readonly name: string | undefined
  readonly config: Readonly<Record<string, string>>
}
