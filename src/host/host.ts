import { randomUUID } from 'node:crypto'
import type { Capability } from '../capabilities/capability.ts'
import type { Clock } from '../clock/clock.ts'
import type { CellIsolation, ComponentLimits, Engine } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { ImageSource } from '../manifest/image-source.ts'
import type { ListenRange } from '../manifest/listen-range.ts'
import type { Workload } from '../manifest/workload.ts'
import type { Log } from '../observability/log.ts'
import type { Tracer } from '../observability/tracer.ts'
import type { ExportAnswer, ExportRequest } from './call-export.ts'
import { createDeployment, type Deployment } from './deployment.ts'
import { createHostClaims } from './host-claims.ts'
import type { HttpRouter } from './http-router.ts'
import { createListenClaims } from './listen-claims.ts'
import { checkPlacement } from './placement.ts'
import type { FinalState, WorkloadState, WorkloadStatus } from './workload-state.ts'

/** What a host is made of. All of it stays the caller's: the host uses it and disposes none of it. */
export type HostOptions = {
  /** One token without dots; default: a new UUID. */
  readonly id?: string
  readonly engine: Engine
  readonly ingress: HttpRouter
  /** Started here, in turn, before the first deploy. */
  readonly capabilities: readonly Capability[]
  readonly lattice: string
  readonly environment: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly images: ImageSource
  readonly log: Log
  readonly clock: Clock
  /** Makes spans of the starts of workloads. Default: none are made. */
  readonly tracer?: Tracer | undefined
  /** Limits of every component, before what its manifest says. */
  readonly limits: ComponentLimits
  /** Default of `herald:cell` entries: without a call for so long a cell gives its thread back, ms. Default: 5 minutes; infinite: never. */
  readonly idleTimeoutMs?: number
  /** Most that the cell of a workload may use of a processor, thousandths, from 10 to 1,000. Default: as much as there is. */
  readonly cpuLimitMillicores?: number
  /** What the cells of all workloads are at least; one may ask for more. Default: `thread`. */
  readonly isolation?: CellIsolation
  /** Addresses and paths no guest ever reaches, whatever its manifest allows: the admin socket, for one. Default: none. */
  readonly deniedAddresses?: readonly string[]
  /** Directories under which hostPath volumes may stand. Default: none, such volumes are refused. */
  readonly allowedHostPaths?: readonly string[]
  /** Addresses on which workloads may listen for HTTP themselves. Default: none, workloads that ask are refused. */
  readonly allowedListen?: readonly ListenRange[]
}

export type DeployOptions = {
  /** Aborts the start; what was begun is released. */
  readonly signal: AbortSignal
  /** The Workload's UID; default: a new UUID. */
  readonly workloadId?: string
  /** Where this workload's images come from, with credentials of its own perhaps. Default: the host's. */
  readonly images?: ImageSource
}

export type StopOptions = {
  /** How long requests in flight may go on, ms. Default: 0. */
  readonly drainTimeoutMs?: number
}

/** Runs workloads: manifest in, served components out. Disposal stops them all at once. */
export interface Host extends AsyncDisposable {
  readonly id: string
  /**
   * Resolves once the workload serves. After a failure it is listed as `failed` until it is stopped, and holds nothing.
   * @throws HeraldError with the reason; ERR_HOST_DRAINING, ERR_WORKLOAD_EXISTS, ERR_WORKLOAD_NOT_PLACED_HERE and all of the engine,
   * the capabilities and the images.
   */
  deploy(workload: Workload, options: DeployOptions): Promise<WorkloadHandle>
  /** Of all workloads, in the order of their deployment. */
  status(): readonly WorkloadStatus[]
  /** Calls a function that one of its components exports. @throws ERR_WORKLOAD_NOT_FOUND, and see `callExport` */
  call(workloadId: string, request: ExportRequest, options: { signal: AbortSignal }): Promise<ExportAnswer>
  /** Stops a workload and forgets it. @throws ERR_WORKLOAD_NOT_FOUND */
  stop(id: string, options?: StopOptions): Promise<void>
  /** Takes no new workloads from now on, and stops all there are, requests in flight first. Idempotent. */
  drain(options?: StopOptions): Promise<void>
}

export interface WorkloadHandle extends AsyncDisposable {
  readonly id: string
  readonly state: WorkloadState
  status(): WorkloadStatus
  onStateChange(listener: (state: WorkloadState) => void): void
  /** Resolves with the state in which it ended: completed, failed or stopped. Never rejects. */
  readonly ended: Promise<FinalState>
  /** Idempotent. */
  stop(options?: StopOptions): Promise<void>
}

/** @throws HeraldError when a capability cannot start. */
export async function createHost(options: HostOptions, { signal }: { signal: AbortSignal }): Promise<Host> {
  const { capabilities, log, id = randomUUID() } = options
  for (const capability of capabilities) await capability.start({ signal })

  const deployments = new Map<string, Deployment>()
  const claims = createHostClaims(log)
  const listenClaims = createListenClaims(options.allowedListen ?? [])
  let draining = false

  const deploymentOf = (workloadId: string): Deployment => {
    const deployment = deployments.get(workloadId)
    if (deployment !== undefined) return deployment
    throw new HeraldError('ERR_WORKLOAD_NOT_FOUND', `no workload has the id ${workloadId}`, {
      hint: 'list the workloads of this host',
    })
  }
  const stop = async (deployment: Deployment, stopOptions: StopOptions = {}): Promise<void> => {
    await deployment.stop(stopOptions)
    if (deployments.get(deployment.id) === deployment) deployments.delete(deployment.id)
  }
  const stopAll = async (stopOptions: StopOptions = {}): Promise<void> => {
    draining = true
    const results = await Promise.allSettled(
      [...deployments.values()].map((deployment) => stop(deployment, stopOptions)),
    )
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be released')
  }

  return {
    id,
    async deploy(workload, { signal: deploySignal, workloadId = randomUUID(), images = options.images }) {
      if (draining) {
        throw new HeraldError('ERR_HOST_DRAINING', `the host is shutting down; ${workload.name} is not started`, {
          hint: 'deploy it to another host',
        })
      }
      if (deployments.has(workloadId)) {
        throw new HeraldError('ERR_WORKLOAD_EXISTS', `a workload with the id ${workloadId} runs already`, {
          hint: 'stop it first',
        })
      }
      checkPlacement(workload, { id, environment: options.environment, labels: options.labels })
      const deployment = createDeployment(workload, workloadId, { ...options, images, claims, listenClaims })
      deployments.set(workloadId, deployment)
      await deployment.start({ signal: deploySignal })
      return {
        id: workloadId,
        get state() {
          return deployment.status().state
        },
        status: () => deployment.status(),
        onStateChange: (listener) => deployment.onStateChange(listener),
        ended: deployment.ended,
        stop: (stopOptions) => stop(deployment, stopOptions),
        [Symbol.asyncDispose]: () => stop(deployment),
      }
    },
    status: () => [...deployments.values()].map((deployment) => deployment.status()),
    call: async (workloadId, request, callOptions) => deploymentOf(workloadId).call(request, callOptions),
    stop: async (workloadId, stopOptions) => stop(deploymentOf(workloadId), stopOptions),
    async drain(stopOptions) {
      log.info({ event: 'host.draining', hostId: id, workloads: deployments.size }, 'taking no new work')
      await stopAll(stopOptions)
      log.info({ event: 'host.drained', hostId: id }, 'all workloads have ended')
    },
    [Symbol.asyncDispose]: () => stopAll(),
  }
}
