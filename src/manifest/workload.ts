import type { HostInterface } from './host-interface.ts'
import type { ImageReference } from './image-reference.ts'

/** What a manifest asks for, checked: upstream's WorkloadDeployment or Workload (`runtime.wasmcloud.dev/v1alpha1`). */
export type Workload = {
  readonly kind: 'WorkloadDeployment' | 'Workload'
  /** `metadata.name`, a DNS-1123 subdomain. */
  readonly name: string
  /** `metadata.namespace`, a DNS-1123 label. Default: `default`. */
  readonly namespace: string
  /** How `herald deploy` and the operator replace older replicas. Default: new ones serve before old ones end. */
  readonly deployPolicy?: 'Recreate'
  /** Cells that run the workload side by side. Default: 1; always 1 for a Workload. 0 = nothing runs. */
  readonly replicas: number
  /** Labels the host must have. Default: none, any host. */
  readonly hostSelector: Readonly<Record<string, string>>
  /** The environment the host must belong to. Default: any. */
  readonly environment: string | undefined
  /** The one host that may run it. Default: any. */
  readonly hostId: string | undefined
  readonly components: readonly WorkloadComponent[]
  readonly service: WorkloadService | undefined
  readonly hostInterfaces: readonly HostInterface[]
  readonly volumes: readonly WorkloadVolume[]
}

export type WorkloadComponent = {
  /** A DNS-1123 label, unique in the workload; part of the component's selectors and so of its identity. */
  readonly name: string
  readonly image: ImageReference
  readonly imagePullPolicy: ImagePullPolicy | undefined
  /** Name of the secret with registry credentials. */
  readonly imagePullSecret: string | undefined
  /** Instances kept between calls. Default (undefined): 0 as upstream has it, a fresh instance per call. */
  readonly poolSize: number | undefined
  /** Calls after which a warm instance is retired. Default (undefined): what the host's limits say. */
  readonly maxInvocations: number | undefined
  readonly resources: LocalResources
}

/** A long-lived `wasi:cli/run` component beside the others. Its component name is {@link serviceComponentName}. */
export type WorkloadService = {
  readonly image: ImageReference
  readonly imagePullPolicy: ImagePullPolicy | undefined
  readonly imagePullSecret: string | undefined
  /** Times it is started again after it ended, whatever its exit code. Default: 0. */
  readonly maxRestarts: number
  readonly resources: LocalResources
}

/**
 * The name under which a workload's service appears in selectors, logs and status; upstream gives it none. No component of a
 * workload with a service may have it, or the two would share an identity.
 */
export const serviceComponentName = 'service'

export type ImagePullPolicy = 'Always' | 'IfNotPresent' | 'Never'

export type LocalResources = {
  /** What `wasi:cli/environment` shows the guest. Default: nothing. */
  readonly environment: Readonly<Record<string, string>>
  /** What `wasi:config/store` shows the guest. Default: nothing. */
  readonly config: Readonly<Record<string, string>>
  /** Where outgoing requests may go: `*`, `host[:port]`, `scheme://host[:port]`, `*.suffix`. Default: nowhere. */
  readonly allowedHosts: readonly string[]
  /** Names the guest may resolve. Default: none. */
  readonly allowedIpNameLookups: readonly string[]
  /** Ports of the machine's own loopback the guest may reach: `5432`, `53/udp`. Default: none. */
  readonly allowedHostLoopbackPorts: readonly string[]
  readonly volumeMounts: readonly VolumeMount[]
  /** Cap on each linear memory, MiB; only upstream's protocol has it. Default: that of the `herald:cell` entry, or the host's. */
  readonly memoryLimitMb?: number
  /** Its part of what the workload's cell may use of a processor, thousandths; only upstream's protocol has it. Default: it sets no limit. */
  readonly cpuLimitMillicores?: number
}

export type VolumeMount = {
  /** A volume of the same workload. */
  readonly name: string
  /** Absolute path the guest sees. */
  readonly mountPath: string
  /** Default: false. */
  readonly readOnly: boolean
}

export type WorkloadVolume =
  /** An empty directory that lives as long as the workload. */
  | { readonly kind: 'ephemeral'; readonly name: string }
  /** A directory of the machine, absolute. */
  | { readonly kind: 'hostPath'; readonly name: string; readonly path: string }
