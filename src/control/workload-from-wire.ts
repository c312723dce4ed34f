import { HeraldError } from '../errors/herald-error.ts'
import type { ImageReference } from '../manifest/image-reference.ts'
import { checkWorkloadSpec } from '../manifest/manifest-rules.ts'
import { apiVersion, workloadDocument } from '../manifest/manifest-schema.ts'
import { formatKeyPath } from '../manifest/problem.ts'
import { schemaProblems } from '../manifest/schema-problems.ts'
import { toWorkload } from '../manifest/to-workload.ts'
import type { ImagePullPolicy, LocalResources, Workload } from '../manifest/workload.ts'
import { credentialsOfPullSecret, type OciCredentials } from '../oci/oci-credentials.ts'
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
): {
  workload: Workload
  credentials: ReadonlyMap<ImageReference, OciCredentials>
} {
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
          ...toPullPolicy(wire.service.imagePullPolicy),
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
  const workload = withWireLimits(toWorkload(parsed.data, '/'), wire)
  const credentials = new Map<ImageReference, OciCredentials>()
  const images: [ImageReference, WirePullSecret | undefined][] = workload.components.map(({ image }, index) => [
    image,
    components[index]?.imagePullSecret,
  ])
  if (workload.service !== undefined) images.push([workload.service.image, wire.service?.imagePullSecret])
  for (const [image, secret] of images) {
    if (image.kind === 'file' && !allowFileImages) {
      throw new HeraldError(
        'ERR_IMAGE_INVALID',
        `${image.reference} is a file, and this host takes registry images only over the lattice`,
        { hint: 'push it with herald oci push, and name it by its registry' },
      )
    }
    const own = credentialsOfPullSecret(secret)
    if (own !== undefined) credentials.set(image, own)
  }
  return { workload, credentials }
}

/**
 * What no manifest has; 0 and upstream's own -1 are "not given". Upstream says of `cpu_limit` that it has no idea of the unit, uses it nowhere and has its
 * operator send none: here it is thousandths of a processor.
 */
function withWireLimits(workload: Workload, wire: WireWorkload): Workload {
  const limited = <Unit extends { resources: LocalResources }>(
    unit: Unit,
    { memoryLimitMb = 0, cpuLimit = 0 }: { memoryLimitMb?: number; cpuLimit?: number } = {},
  ): Unit => {
    const given = {
      ...(memoryLimitMb > 0 && { memoryLimitMb }),
      ...(cpuLimit > 0 && { cpuLimitMillicores: cpuLimit }),
    }
    return { ...unit, resources: { ...unit.resources, ...given } }
  }
  return {
    ...workload,
    components: workload.components.map((component, index) =>
      limited(component, wire.witWorld?.components[index]?.localResources),
    ),
    service: workload.service && limited(workload.service, wire.service?.localResources),
  }
}

function toComponent(component: WireComponent) {
  return {
    name: component.name,
    image: component.image,
    ...toPullPolicy(component.imagePullPolicy),
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
  IMAGE_PULL_POLICY_ALWAYS: 'Always',
  IMAGE_PULL_POLICY_IF_NOT_PRESENT: 'IfNotPresent',
  IMAGE_PULL_POLICY_NEVER: 'Never',
} as const

function toPullPolicy(policy: WireComponent['imagePullPolicy']): { imagePullPolicy?: ImagePullPolicy } {
  const imagePullPolicy = policies[policy]
  return imagePullPolicy === undefined ? {} : { imagePullPolicy }
}
