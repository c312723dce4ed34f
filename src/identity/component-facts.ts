/**
 * What the host itself knows of a component it runs. Selectors are made of these and of nothing else:
 * no field comes from the guest, and host labels can never form another field's selector.
 */
export type ComponentFacts = {
  readonly lattice: string
  readonly namespace: string
  /** Name of the deployment, or of the workload when that is all the host was told. */
  readonly workloadName: string
  /** Unique on the host: the Workload's UID, or what the command made up. */
  readonly workloadId: string
  readonly componentName: string
  /** The reference as written in the manifest. */
  readonly image: string
  /** `sha256:<hex>`: of the manifest pulled from a registry, or of the file's bytes for a `file://` image. */
  readonly imageDigest: string
  readonly environment: string | undefined
  readonly hostLabels: Readonly<Record<string, string>>
}
