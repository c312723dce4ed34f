import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import type { ImageReference } from '../manifest/image-reference.ts'
import type { LocalResources, Workload, WorkloadComponent, WorkloadService } from '../manifest/workload.ts'
import type { OciCredentials } from '../oci/oci-credentials.ts'
import type { WireComponent, WirePullSecret, WireWitInterface, WireWorkload } from './messages.ts'

/**
 * A checked workload as the operator would send it; the counterpart of `workloadFromWire`. Images keep the words of the manifest. `credentials`: of
 * its imagePullSecrets. @throws ERR_OCI_CREDENTIALS_INVALID for one that the protocol cannot carry
 */
export function workloadToWire(
  workload: Workload,
  annotations: Readonly<Record<string, string>> = {},
  credentials: ReadonlyMap<ImageReference, OciCredentials> = new Map(),
): WireWorkload {
  const secretOf = ({ image }: WorkloadComponent | WorkloadService) => toPullSecret(credentials.get(image), image)
  const { namespace, name, components, service, hostInterfaces, volumes } = workload
  return {
    namespace,
    name,
    annotations,
    service: service && {
      image: imageOf(service),
      localResources: toResources(service.resources),
      maxRestarts: BigInt(service.maxRestarts),
      imagePullSecret: secretOf(service),
      imagePullPolicy: policies[service.imagePullPolicy ?? 'unset'],
    },
    witWorld: {
      components: components.map((component) => toComponent(component, secretOf(component))),
      hostInterfaces: hostInterfaces.map(toInterface),
    },
    volumes: volumes.map((volume) => ({
      name: volume.name,
      hostPath: volume.kind === 'hostPath' ? { localPath: volume.path } : undefined,
      emptyDir: volume.kind === 'ephemeral' ? {} : undefined,
    })),
  }
}

function toComponent(component: WorkloadComponent, imagePullSecret: WirePullSecret | undefined): WireComponent {
  return {
    name: component.name,
    image: imageOf(component),
    localResources: toResources(component.resources),
    poolSize: component.poolSize ?? 0,
    maxInvocations: component.maxInvocations ?? 0,
    maxConcurrency: 0,
    imagePullSecret,
    imagePullPolicy: policies[component.imagePullPolicy ?? 'unset'],
  }
}

function toPullSecret(
  credentials: OciCredentials | undefined,
  { reference }: ImageReference,
): WirePullSecret | undefined {
  if (credentials === undefined) return undefined
  if (credentials.kind === 'basic') return { username: credentials.username, password: credentials.password }
  throw new HeraldError('ERR_OCI_CREDENTIALS_INVALID', `the imagePullSecret of ${reference} is an identity token`, {
    hint: "the hosts' protocol has user names and passwords only: use those, or docker login on the hosts",
  })
}

/** A file by its whole path: what it is relative to stays here. */
function imageOf({ image }: WorkloadComponent | WorkloadService): string {
  return image.kind === 'file' ? `file://${image.path.split('/').map(encodeURIComponent).join('/')}` : image.reference
}

function toResources({ environment, config, volumeMounts, ...rest }: LocalResources): WireComponent['localResources'] {
  const { allowedHosts, allowedIpNameLookups, allowedHostLoopbackPorts } = rest
  return {
    memoryLimitMb: rest.memoryLimitMb ?? 0,
    cpuLimit: rest.cpuLimitMillicores ?? 0,
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
