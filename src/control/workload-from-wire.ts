import { HeraldError } from '../errors/herald-error.ts'
import type { ImageReference } from '../manifest/image-reference.ts'
import { checkWorkloadSpec } from '../manifest/manifest-rules.ts'
import { apiVersion, workloadDocument } from '../manifest/manifest-schema.ts'
import { formatKeyPath } from '../manifest/problem.ts'
import { schemaProblems } from '../manifest/schema-problems.ts'
import { toWorkload } from '../manifest/to-workload.ts'
import type { Workload } from '../manifest/workload.ts'
import { credentialsOfPullSecret } from '../oci/oci-credentials.ts'
import type { ImagePull } from './controlled-host.ts'
import type { WireComponent, WirePullSecret, WireWitInterface, WireWorkload } from './messages.ts'

export type WorkloadFromWireOptions = {
  /** Whether `file://` images may be asked for over the lattice: only where whoever may publish there may read this machine's files. */
  readonly allowFileImages: boolean
}

/**
 * A workload as the operator sends it → the value a manifest gives, by the very rules of manifests. The operator has resolved
 * ConfigMaps and Secrets. @throws ERR_MANIFEST_INVALID, ERR_MANIFEST_UNSUPPORTED, ERR_IMAGE_… with the field
 */
export function workloadFromWire(
  wire: WireWorkload,
  { allowFileImages }: WorkloadFromWireOptions,
): { workload: Workload; pulls: ReadonlyMap<ImageReference, ImagePull> } {
  const components = wire.witWorld?.components ?? []
  const document = {
    apiVersion,
    kind: 'Workload',
    metadata: { name: wire.name, ...(wire.namespace !== '' && { namespace: wire.namespace }) },
    spec: {
      components: components.map(toComponent),
      ...(wire.service !== undefined && {
        service: {
          image: wire.service.image,
          // The wire has 64 bits, the manifest 31: more restarts than that is "always" in both.
          maxRestarts: Number(wire.service.maxRestarts > 2_147_483_647n ? 2_147_483_647n : wire.service.maxRestarts),
          localResources: toResources(wire.service.localResources),
        },
      }),
      volumes: wire.volumes.map(({ name, hostPath, emptyDir }) => ({
        name,
        ...(hostPath !== undefined && { hostPath: { path: hostPath.localPath } }),
        ...(emptyDir !== undefined && { ephemeral: {} }),
      })),
      hostInterfaces: (wire.witWorld?.hostInterfaces ?? []).map(toHostInterface),
    },
  }
  const parsed = workloadDocument.safeParse(document)
  const { problems } = checkWorkloadSpec(document.spec, ['spec'])
  const [problem, ...more] = [...(parsed.success ? [] : schemaProblems(parsed.error.issues, document)), ...problems]
  if (problem !== undefined || !parsed.success) {
    const at = problem === undefined ? 'the workload' : formatKeyPath(problem.path)
    const rest = more.length === 0 ? '' : ` (and ${more.length} more)`
    throw new HeraldError(
      problem?.kind === 'unsupported' ? 'ERR_MANIFEST_UNSUPPORTED' : 'ERR_MANIFEST_INVALID',
      `${at}: ${problem?.message ?? 'not valid'}${rest}`,
      { hint: problem?.hint ?? 'correct the WorkloadDeployment' },
    )
  }
  const workload = toWorkload(parsed.data, '/')
  const pulls = new Map<ImageReference, ImagePull>()
  workload.components.forEach(({ image }, index) => {
    const sent = components[index]
    if (sent !== undefined) pulls.set(image, toPull(sent.imagePullPolicy, sent.imagePullSecret))
  })
  if (workload.service !== undefined && wire.service !== undefined) {
    pulls.set(workload.service.image, toPull(wire.service.imagePullPolicy, wire.service.imagePullSecret))
  }
  for (const image of pulls.keys()) {
    if (image.kind === 'file' && !allowFileImages) {
      throw new HeraldError(
        'ERR_IMAGE_INVALID',
        `${image.reference} is a file, and this host takes registry images only over the lattice`,
        {
          hint: 'push it with herald oci push, and name it by its registry',
        },
      )
    }
  }
  return { workload, pulls }
}

function toComponent(component: WireComponent) {
  return {
    name: component.name,
    image: component.image,
    ...omitZero('poolSize', component.poolSize),
    ...omitZero('maxInvocations', component.maxInvocations),
    ...omitZero('maxConcurrency', component.maxConcurrency),
    localResources: toResources(component.localResources),
  }
}

/** On the wire 0 and "not given" are one. */
function omitZero(key: string, value: number): Record<string, number> {
  return value === 0 ? {} : { [key]: value }
}

function toResources(resources: WireComponent['localResources']) {
  if (resources === undefined) return {}
  const { environment, config, volumeMounts, allowedHosts, allowedIpNameLookups, allowedHostLoopbackPorts } = resources
  return {
    environment: { config: environment },
    config,
    volumeMounts,
    allowedHosts,
    allowedIpNameLookups,
    allowedHostLoopbackPorts,
  }
}

function toHostInterface({ namespace, package: packageName, version, interfaces, config, name }: WireWitInterface) {
  return {
    namespace,
    package: packageName,
    interfaces,
    config,
    ...(version !== '' && { version }),
    ...(name !== '' && { name }),
  }
}

const policies = {
  IMAGE_PULL_POLICY_UNSPECIFIED: undefined,
  IMAGE_PULL_POLICY_ALWAYS: 'always',
  IMAGE_PULL_POLICY_IF_NOT_PRESENT: 'if-not-present',
  IMAGE_PULL_POLICY_NEVER: 'never',
} as const

function toPull(policy: WireComponent['imagePullPolicy'], secret: WirePullSecret | undefined): ImagePull {
  return { policy: policies[policy], credentials: credentialsOfPullSecret(secret) }
}
