import { createHash } from 'node:crypto'
import type { WireWorkload } from '../control/messages.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Workload } from '../manifest/workload.ts'
import type { Placement } from './choose-hosts.ts'
import { type Fleet, type FleetWorkload, nameOf } from './lattice-client.ts'

/** What `herald deploy` writes into a workload's annotations, for `scale`, `delete` and the next `deploy` to find. */
export const specAnnotation = 'herald/spec'
const placementAnnotation = 'herald/placement'
/** The operator's own. */
const operatorAnnotation = 'runtime.wasmcloud.dev/workload-replica-set-generation'

/** `hash`: two replicas with the same one run the same. */
export function annotationsFor(hash: string, { hostSelector, environment, hostId }: Workload): Record<string, string> {
  return { [specAnnotation]: hash, [placementAnnotation]: JSON.stringify({ hostSelector, environment, hostId }) }
}

export function specHash(workload: WireWorkload, placement: Placement, fileDigests: readonly string[]): string {
  const text = JSON.stringify([workload, placement, fileDigests], (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** Where its deployment wanted it to run. */
export function placementOf({ annotations }: FleetWorkload): Placement {
  const anywhere: Placement = { hostSelector: {}, environment: undefined, hostId: undefined }
  try {
    return { ...anywhere, ...(JSON.parse(annotations[placementAnnotation] ?? '{}') as Partial<Placement>) }
  } catch {
    return anywhere
  }
}

export type Origin = 'deploy' | 'operator' | 'file' | 'other'

/** Who brought it, by its annotations. */
export function originOf({ annotations }: FleetWorkload): Origin {
  if (annotations[specAnnotation] !== undefined) return 'deploy'
  if (annotations[operatorAnnotation] !== undefined) return 'operator'
  return Object.keys(annotations).length === 0 ? 'file' : 'other'
}

export type WorkloadName = { readonly namespace: string; readonly name: string }

/** `name` is of the namespace `default`; `namespace/name`. */
export function parseWorkloadName(text: string): WorkloadName {
  const [first = '', second, ...rest] = text.split('/')
  if (first === '' || second === '' || rest.length > 0)
    throw new HeraldError('ERR_USAGE', `${JSON.stringify(text)} names no workload`, {
      hint: 'write NAME or NAMESPACE/NAME, as herald get workloads shows them',
    })
  return second === undefined ? { namespace: 'default', name: first } : { namespace: first, name: second }
}

/** Its replicas, on whichever hosts. @throws ERR_WORKLOAD_NOT_FOUND */
export function findWorkload(fleet: Fleet, wanted: WorkloadName): readonly FleetWorkload[] {
  const found = replicasOf(fleet, wanted)
  if (found.length > 0) return found
  const names = [...new Set(fleet.workloads.map(({ namespace, name }) => `${namespace}/${name}`))].sort()
  throw new HeraldError('ERR_WORKLOAD_NOT_FOUND', `no host runs ${wanted.namespace}/${wanted.name}`, {
    hint: names.length === 0 ? 'no host runs anything' : `there are: ${names.slice(0, 20).join(', ')}`,
  })
}

export function replicasOf({ workloads }: Fleet, { namespace, name }: WorkloadName): readonly FleetWorkload[] {
  return workloads.filter((workload) => workload.namespace === namespace && workload.name === name)
}

/** A replica that was told to stop serves on for a moment, and counts no more. */
export function withoutStopping(replicas: readonly FleetWorkload[]): readonly FleetWorkload[] {
  return replicas.filter(({ state }) => state !== 'WORKLOAD_STATE_STOPPING')
}

/** Those that this command may stop. @throws ERR_DEPLOY_NOT_OURS when all came from elsewhere */
export function ownReplicas(replicas: readonly FleetWorkload[]): readonly FleetWorkload[] {
  const own = replicas.filter((replica) => originOf(replica) === 'deploy')
  const [foreign] = replicas
  if (own.length > 0 || foreign === undefined) return withoutStopping(own)
  const what = `${foreign.namespace}/${foreign.name}`
  const origin = originOf(foreign)
  throw new HeraldError(
    'ERR_DEPLOY_NOT_OURS',
    origin === 'operator'
      ? `${what} was placed by the operator`
      : `${what} was not brought by herald deploy: it is in a manifest file of ${nameOf(foreign.host)}`,
    {
      hint:
        origin === 'operator'
          ? 'change its WorkloadDeployment: kubectl'
          : 'change the manifest, and start that host anew',
    },
  )
}

/** A change based on half of the truth would start what runs already. @throws ERR_LATTICE_TIMEOUT */
export function refuseSilence({ silent }: Fleet): void {
  const [first] = silent
  if (first === undefined) return
  throw new HeraldError('ERR_LATTICE_TIMEOUT', `${nameOf(first.host)} does not say what it runs: ${first.reason}`, {
    hint: 'try again; nothing was changed',
  })
}

export function countByHost(replicas: readonly FleetWorkload[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { host } of replicas) counts.set(host.id, (counts.get(host.id) ?? 0) + 1)
  return counts
}
