import type { HostInterface } from '../manifest/host-interface.ts'
import type { LocalResources, Workload, WorkloadComponent, WorkloadService } from '../manifest/workload.ts'
import type { WireComponent, WireWitInterface, WireWorkload } from './messages.ts'

/** A checked workload as the operator would send it; the counterpart of `workloadFromWire`. Images keep the words of the manifest. */
export function workloadToWire(workload: Workload, annotations: Readonly<Record<string, string>> = {}): WireWorkload {
  const { namespace, name, components, service, hostInterfaces, volumes } = workload
  return {
    namespace,
    name,
    annotations,
    service: service && {
      image: imageOf(service),
      localResources: toResources(service.resources),
      maxRestarts: BigInt(service.maxRestarts),
      imagePullSecret: undefined,
      imagePullPolicy: policies[service.imagePullPolicy ?? 'unset'],
    },
    witWorld: { components: components.map(toComponent), hostInterfaces: hostInterfaces.map(toInterface) },
    volumes: volumes.map((volume) => ({
      name: volume.name,
      hostPath: volume.kind === 'hostPath' ? { localPath: volume.path } : undefined,
      emptyDir: volume.kind === 'ephemeral' ? {} : undefined,
    })),
  }
}

function toComponent(component: WorkloadComponent): WireComponent {
  return {
    name: component.name,
    image: imageOf(component),
    localResources: toResources(component.resources),
    poolSize: component.poolSize ?? 0,
    maxInvocations: component.maxInvocations ?? 0,
    maxConcurrency: 0,
    imagePullSecret: undefined,
    imagePullPolicy: policies[component.imagePullPolicy ?? 'unset'],
  }
}

/** A file by its whole path: what it is relative to stays here. */
function imageOf({ image }: WorkloadComponent | WorkloadService): string {
  return image.kind === 'file' ? `file://${image.path.split('/').map(encodeURIComponent).join('/')}` : image.reference
}

function toResources({ environment, config, volumeMounts, ...rest }: LocalResources): WireComponent['localResources'] {
  const { allowedHosts, allowedIpNameLookups, allowedHostLoopbackPorts } = rest
  return {
    memoryLimitMb: 0,
    cpuLimit: 0,
    config,
    environment,
    volumeMounts,
    allowedHosts,
    allowedIpNameLookups,
    allowedHostLoopbackPorts,
  }
}

function toInterface({
  namespace,
  package: packageName,
  version,
  interfaces,
  config,
  name,
}: HostInterface): WireWitInterface {
  return { namespace, package: packageName, version: version ?? '', interfaces, config, name: name ?? '' }
}

const policies = {
  unset: 'IMAGE_PULL_POLICY_UNSPECIFIED',
  Always: 'IMAGE_PULL_POLICY_ALWAYS',
  IfNotPresent: 'IMAGE_PULL_POLICY_IF_NOT_PRESENT',
  Never: 'IMAGE_PULL_POLICY_NEVER',
} as const
