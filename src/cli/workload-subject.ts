import { HeraldError } from '../errors/herald-error.ts'
import { parseAudiences } from '../manifest/audiences.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import { loadManifest } from '../manifest/load-manifest.ts'
import {
  serviceComponentName,
  type Workload,
  type WorkloadComponent,
  type WorkloadService,
} from '../manifest/workload.ts'

/** One component of a manifest, and what its workload says of its identity. */
export type WorkloadSubject = {
  readonly file: string
  readonly workload: Workload
  readonly componentName: string
  readonly unit: WorkloadComponent | WorkloadService
  /** Where the component's name stands in the manifest. */
  readonly namedAt: string
  /** The allow-list of `wasmcloud:identity`; empty when the workload does not list it. */
  readonly audiences: readonly string[]
  /** The configured `spiffe-id`, unchecked. */
  readonly spiffeId: string | undefined
  /** The entries of `herald:credentials`. */
  readonly credentials: readonly HostInterface[]
}

/** @throws ERR_USAGE when the component is not clear · ManifestError · ERR_MANIFEST_NOT_FOUND */
export async function findWorkloadSubject(
  file: string,
  wanted: string | undefined,
  { cwd }: { cwd: string },
): Promise<WorkloadSubject> {
  const { workloads } = await loadManifest(file, { cwd })
  const all = workloads.flatMap((workload) => subjectsOf(file, workload))
  const found = all.filter(({ componentName }) => wanted === undefined || componentName === wanted)
  const [subject] = found
  if (subject !== undefined && found.length === 1) return subject
  const names = all.map(({ workload, componentName }) => `${workload.namespace}/${workload.name}/${componentName}`)
  throw new HeraldError(
    'ERR_USAGE',
    subject === undefined ? `the manifest has no component ${wanted ?? ''}` : 'the manifest has several components',
    { where: { file }, hint: `choose one with --component: ${names.join(', ')}` },
  )
}

function subjectsOf(file: string, workload: Workload): readonly WorkloadSubject[] {
  const identity = entriesOf(workload, 'wasmcloud', 'identity')[0]
  const shared = {
    file,
    workload,
    audiences: parseAudiences(identity?.config.audiences ?? '') ?? [],
    spiffeId: identity?.config['spiffe-id'],
    credentials: entriesOf(workload, 'herald', 'credentials'),
  }
  const components = workload.components.map((unit, index) => ({
    ...shared,
    componentName: unit.name,
    unit,
    namedAt: `components[${index}].name`,
  }))
  const { service } = workload
  if (service === undefined) return components
  return [...components, { ...shared, componentName: serviceComponentName, unit: service, namedAt: 'service' }]
}

function entriesOf(workload: Workload, namespace: string, packageName: string): readonly HostInterface[] {
  return workload.hostInterfaces.filter((entry) => entry.namespace === namespace && entry.package === packageName)
}
