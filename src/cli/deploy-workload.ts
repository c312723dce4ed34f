import { randomUUID } from 'node:crypto'
import type { WireWorkload, WireWorkloadStatus } from '../control/messages.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { chooseHosts, type Placement } from './choose-hosts.ts'
import {
  countByHost,
  originOf,
  refuseSilence,
  replicasOf,
  specAnnotation,
  type WorkloadName,
  withoutStopping,
} from './deployed-workloads.ts'
import { type Fleet, type FleetHost, type FleetWorkload, type LatticeClient, nameOf } from './lattice-client.ts'

export type DeployRequest = WorkloadName & {
  readonly wire: WireWorkload
  readonly placement: Placement
  readonly replicas: number
  /** `deployPolicy: Recreate`: old replicas end before new ones start. */
  readonly recreate: boolean
}

export type DeployResult = {
  readonly workload: string
  readonly action: 'created' | 'updated' | 'scaled' | 'unchanged'
  readonly replicas: readonly { readonly host: string; readonly workloadId: string; readonly state: string }[]
  readonly stopped: number
}

export type DeployOptions = {
  /** Until when hosts are waited for and slow starts are asked again, ms of performance.now; undefined: not at all. */
  readonly waitUntilMs: number | undefined
  readonly onProgress: (text: string) => void
  readonly signal: AbortSignal
}

/**
 * Brings the replicas of a workload to what is wanted: new ones serve before old ones end, what is the same already stays. When a new one does
 * not run, those that were started go again and what ran before goes on; but with `recreate` it has ended by then.
 * @throws ERR_DEPLOY_NO_HOST, ERR_DEPLOY_FAILED, ERR_LATTICE_…
 */
export async function deployWorkload(
  client: LatticeClient,
  request: DeployRequest,
  options: DeployOptions,
): Promise<DeployResult> {
  const workload = `${request.namespace}/${request.name}`
  const fleet = await fleetWithHost(client, request, options)
  const present = withoutStopping(replicasOf(fleet, request)).filter((replica) => originOf(replica) === 'deploy')
  const hash = request.wire.annotations[specAnnotation]
  const same = present.filter((replica) => replica.annotations[specAnnotation] === hash && isAlive(replica))
  const keep = same.slice(0, request.replicas)
  const chosen = chooseHosts(fleet, request.placement, {
    count: request.replicas - keep.length,
    own: countByHost(keep),
  })
  const gone = present.filter((replica) => !keep.includes(replica))
  const endOld = () => stopAll(client, gone, options)
  if (request.recreate && gone.length > 0) {
    await endOld()
    await untilGone(client, gone, options)
  }
  const started = await startAll(chosen, workload, options, (host, workloadId) =>
    client.start(host, workloadId, request.wire),
  ).catch(async (error: unknown) => {
    if (error instanceof PartialStart) {
      await stopAll(client, error.started, options)
      throw request.recreate && gone.length > 0 ? nothingGoesOn(error.reason) : error.reason
    }
    throw error
  })
  if (!request.recreate) await endOld()
  const replaced = gone.some((replica) => replica.annotations[specAnnotation] !== hash)
  const action =
    present.length === 0 && started.length > 0
      ? 'created'
      : replaced
        ? 'updated'
        : started.length > 0 || gone.length > 0
          ? 'scaled'
          : 'unchanged'
  return {
    workload,
    action,
    replicas: [
      ...keep.map(({ host, workloadId, state }) => ({ host: nameOf(host), workloadId, state: shortState(state) })),
      ...started.map(({ host, workloadId, state }) => ({ host: nameOf(host), workloadId, state })),
    ],
    stopped: gone.length,
  }
}

const goneLimitMs = 60_000

/** A host answers a stop before the workload has ended: requests in flight finish. */
async function untilGone(
  client: LatticeClient,
  replicas: readonly FleetWorkload[],
  { onProgress, signal }: DeployOptions,
): Promise<void> {
  const endMs = performance.now() + goneLimitMs
  for (;;) {
    const { workloads } = await client.fleet()
    const left = workloads.filter(({ workloadId, host }) =>
      replicas.some((replica) => replica.workloadId === workloadId && replica.host.id === host.id),
    )
    if (left.length === 0) return
    if (performance.now() > endMs) {
      for (const { workloadId, host } of left)
        onProgress(`${workloadId} on ${nameOf(host)} still ends after ${goneLimitMs / 1000} s; going on`)
      return
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
    signal.throwIfAborted()
  }
}

function nothingGoesOn(error: unknown): unknown {
  if (!isHeraldError(error, 'ERR_DEPLOY_FAILED')) return error
  return new HeraldError(error.code, error.message, {
    hint: 'with deployPolicy Recreate what ran before has ended; correct it and deploy again',
    cause: error,
  })
}

/** Copies of what runs already, for `scale` and `drain`. @throws ERR_DEPLOY_FAILED, having stopped what it started */
export async function copyReplicas(
  client: LatticeClient,
  source: FleetWorkload,
  hosts: readonly FleetHost[],
  options: DeployOptions,
): Promise<readonly Started[]> {
  const { host: from, workloadId } = source
  return startAll(hosts, `${source.namespace}/${source.name}`, options, (to, newId) =>
    client.copy(from, workloadId, to, newId),
  ).catch(async (error: unknown) => {
    if (!(error instanceof PartialStart)) throw error
    await stopAll(client, error.started, options)
    throw error.reason
  })
}

export type Started = { readonly host: FleetHost; readonly workloadId: string; readonly state: string }

/** Some have started, one has not. */
class PartialStart extends Error {
  readonly started: readonly Started[]
  readonly reason: unknown

  constructor(started: readonly Started[], reason: unknown) {
    super('not all have started')
    this.started = started
    this.reason = reason
  }
}

async function startAll(
  hosts: readonly FleetHost[],
  workload: string,
  { onProgress, waitUntilMs, signal }: DeployOptions,
  start: (host: FleetHost, workloadId: string) => Promise<WireWorkloadStatus>,
): Promise<readonly Started[]> {
  const one = async (host: FleetHost): Promise<Started> => {
    const workloadId = randomUUID()
    onProgress(`${workload}: starting on ${nameOf(host)}`)
    for (;;) {
      const { workloadState, message } = await start(host, workloadId).catch((error: unknown) => {
        // It is unknown whether it arrived.
        throw new PartialStart([{ host, workloadId, state: 'unknown' }], error)
      })
      const state = shortState(workloadState)
      if (state === 'running' || state === 'completed') {
        onProgress(`${workload}: ${state} on ${nameOf(host)}`)
        return { host, workloadId, state }
      }
      // A large image goes on into the host's cache after the start was given up.
      const slow = message.startsWith('ERR_CONTROL_START_TIMEOUT')
      if (!slow || waitUntilMs === undefined || performance.now() > waitUntilMs) {
        throw new PartialStart(
          [{ host, workloadId, state }],
          new HeraldError('ERR_DEPLOY_FAILED', `${workload} does not run on ${nameOf(host)} (${state}): ${message}`, {
            hint: 'what ran before goes on; correct it and deploy again',
          }),
        )
      }
      signal.throwIfAborted()
      onProgress(`${workload}: ${nameOf(host)} is still fetching the image`)
    }
  }
  const results = await Promise.allSettled(hosts.map(one))
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
  const [first] = failed
  if (first === undefined) return started
  const partial = failed.filter((error) => error instanceof PartialStart)
  const reason = partial[0]?.reason ?? first
  throw new PartialStart([...started, ...partial.flatMap((error) => error.started)], reason)
}

/** One that cannot be stopped is said and left: its host may be gone. */
export async function stopAll(
  client: LatticeClient,
  replicas: readonly { readonly host: FleetHost; readonly workloadId: string }[],
  { onProgress }: Pick<DeployOptions, 'onProgress'>,
): Promise<void> {
  await Promise.all(
    replicas.map(async ({ host, workloadId }) => {
      try {
        const { workloadState, message } = await client.stop(host, workloadId)
        if (workloadState === 'WORKLOAD_STATE_ERROR') onProgress(`${workloadId} on ${nameOf(host)}: ${message}`)
      } catch (error) {
        if (!isHeraldError(error)) throw error
        onProgress(`${workloadId} on ${nameOf(host)} was not stopped: ${error.message}`)
      }
    }),
  )
}

/** With `--wait` a lattice without a fitting host is asked again, once a second. */
async function fleetWithHost(
  client: LatticeClient,
  { placement, replicas }: DeployRequest,
  { waitUntilMs, onProgress, signal }: DeployOptions,
): Promise<Fleet> {
  for (let said = false; ; said = true) {
    const fleet = await client.fleet({ quietMs: 500 })
    try {
      refuseSilence(fleet)
      chooseHosts(fleet, placement, { count: Math.min(1, replicas), own: new Map() })
      return fleet
    } catch (error) {
      if (waitUntilMs === undefined || performance.now() > waitUntilMs || !isHeraldError(error)) throw error
      if (!said) onProgress(`waiting: ${error.message}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    signal.throwIfAborted()
  }
}

function isAlive({ state }: FleetWorkload): boolean {
  return /_(STARTING|RUNNING|COMPLETED)$/.test(state)
}

/** `WORKLOAD_STATE_NOT_FOUND` → `not-found`. */
export function shortState(state: string): string {
  return state
    .replace(/^WORKLOAD_STATE_/, '')
    .toLowerCase()
    .replaceAll('_', '-')
}
