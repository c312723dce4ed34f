import type { HostInterface } from './host-interface.ts'
import { type ImageReference, parseImageReference } from './image-reference.ts'
import type {
  DeploymentDocument,
  LocalResourcesDocument,
  WorkloadDocument,
  WorkloadSpecDocument,
} from './manifest-schema.ts'
import type { LocalResources, Workload, WorkloadVolume } from './workload.ts'

/** A document that passed schema and rules → the value the host takes, with every default filled in. */
export function toWorkload(document: DeploymentDocument | WorkloadDocument, baseDirectory: string): Workload {
  const spec = document.kind === 'Workload' ? document.spec : document.spec.template.spec
  const image = (reference: string): ImageReference => parseImageReference(reference, baseDirectory)
  return {
    kind: document.kind,
    name: document.metadata.name,
    namespace: document.metadata.namespace ?? 'default',
    replicas: document.kind === 'Workload' ? 1 : (document.spec.replicas ?? 1),
    ...(document.kind === 'WorkloadDeployment' &&
      document.spec.deployPolicy === 'Recreate' && { deployPolicy: document.spec.deployPolicy }),
    hostSelector: spec.hostSelector ?? {},
    environment: spec.environment,
    hostId: spec.hostId,
    components: (spec.components ?? []).map((component) => ({
      name: component.name,
      image: image(component.image),
      imagePullPolicy: component.imagePullPolicy,
      imagePullSecret: component.imagePullSecret?.name,
      poolSize: component.poolSize,
      maxInvocations: component.maxInvocations,
      resources: toResources(component.localResources),
    })),
    service: spec.service && {
      image: image(spec.service.image),
      imagePullPolicy: spec.service.imagePullPolicy,
      imagePullSecret: spec.service.imagePullSecret?.name,
      maxRestarts: spec.service.maxRestarts ?? 0,
      resources: toResources(spec.service.localResources),
    },
    hostInterfaces: (spec.hostInterfaces ?? []).map(toHostInterface),
    volumes: (spec.volumes ?? []).map(toVolume),
  }
}

function toResources(resources: LocalResourcesDocument = {}): LocalResources {
  return {
    environment: resources.environment?.config ?? {},
    config: resources.config ?? {},
    allowedHosts: resources.allowedHosts ?? [],
    allowedIpNameLookups: resources.allowedIpNameLookups ?? [],
    allowedHostLoopbackPorts: resources.allowedHostLoopbackPorts ?? [],
    volumeMounts: (resources.volumeMounts ?? []).map(({ name, mountPath, readOnly }) => ({
      name,
      mountPath,
      readOnly: readOnly ?? false,
    })),
  }
}

function toHostInterface(entry: NonNullable<WorkloadSpecDocument['hostInterfaces']>[number]): HostInterface {
  return {
    namespace: entry.namespace,
    package: entry.package,
    version: entry.version,
    interfaces: entry.interfaces,
    name: entry.name,
    config: entry.config ?? {},
  }
}

function toVolume({ name, hostPath }: NonNullable<WorkloadSpecDocument['volumes']>[number]): WorkloadVolume {
  return hostPath === undefined ? { kind: 'ephemeral', name } : { kind: 'hostPath', name, path: hostPath.path }
}
