import type { Cell, CellIsolation } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { parseAudiences } from '../manifest/audiences.ts'
import { type CellSettings, parseCellSettings } from '../manifest/cell-settings.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import { listenRangeText } from '../manifest/listen-range.ts'
import type { Workload } from '../manifest/workload.ts'
import { measured } from '../observability/tracer.ts'
import { callExport, type ExportAnswer, type ExportRequest } from './call-export.ts'
import { isolationOf } from './cell-isolation.ts'
import type { HostOptions, StopOptions } from './host.ts'
import type { HostClaims } from './host-claims.ts'
import { exposeHttp, type HttpExposure } from './http-exposure.ts'
import type { ListenClaims } from './listen-claims.ts'
import { listeningComponent } from './listening-component.ts'
import { type PreparedComponent, prepareComponents } from './prepare-components.ts'
import { type Replica, startReplica } from './start-replica.ts'
import { superviseService } from './supervise-service.ts'
import {
  type ComponentStatus,
  type FinalState,
  isFinal,
  type WorkloadState,
  type WorkloadStatus,
} from './workload-state.ts'

/** One workload on this host, from its start to its end. */
export interface Deployment {
  readonly id: string
  readonly ended: Promise<FinalState>
  /** Once. @throws HeraldError, after everything has been released. */
  start(options: { signal: AbortSignal }): Promise<void>
  stop(options: StopOptions): Promise<void>
  status(): WorkloadStatus
  onStateChange(listener: (state: WorkloadState) => void): void
  /** @throws see `callExport` */
  call(request: ExportRequest, options: { signal: AbortSignal }): Promise<ExportAnswer>
}

export function createDeployment(
  workload: Workload,
  id: string,
  options: HostOptions & { readonly claims: HostClaims; readonly listenClaims: ListenClaims },
): Deployment {
  const { clock, ingress, claims, listenClaims } = options
  const log = options.log.child({ workload: workload.name, namespace: workload.namespace, workloadId: id })
  const now = (): Date => new Date(clock.nowMs())
  const ending = new AbortController()
  const serviceEnding = new AbortController()
  const listeners = new Set<(state: WorkloadState) => void>()
  const ended = Promise.withResolvers<FinalState>()
  const exitCodes: Record<string, number> = {}
  const replicas: Replica[] = []
  const routes: Disposable[] = []
  let ownAddress: Disposable | undefined
  let components: readonly ComponentStatus[] = []
  let callable: readonly PreparedComponent[] = []
  let isolation: CellIsolation = 'thread'
  let state: WorkloadState = { kind: 'starting', since: now() }
  let starting: Promise<void> | undefined
  let releasing: Promise<void> | undefined

  const enter = (next: WorkloadState): void => {
    if (isFinal(state)) return
    state = next
    for (const listener of listeners) listener(next)
    if (isFinal(next)) ended.resolve(next)
  }

  /** Once: no new requests, calls in flight finish, then all is given back. */
  const release = (drainTimeoutMs: number): Promise<void> => {
    releasing ??= (async () => {
      for (const route of routes) route[Symbol.dispose]()
      // A service never ends by itself: waiting for it would use up every drain.
      serviceEnding.abort(new HeraldError('ERR_HOST_DRAINING', `workload ${workload.name} is ending`))
      const results = await Promise.allSettled(replicas.map((replica) => replica.close({ drainTimeoutMs })))
      ownAddress?.[Symbol.dispose]()
      ending.abort(new HeraldError('ERR_HOST_DRAINING', `workload ${workload.name} has ended`))
      for (const result of results) {
        if (result.status === 'rejected')
          log.error({ event: 'workload.release_failed', err: result.reason }, 'not everything was released')
      }
    })()
    return releasing
  }

  const fail = async (error: HeraldError): Promise<void> => {
    if (isFinal(state) || state.kind === 'stopping') return
    log.error({ event: 'workload.failed', code: error.code, reason: error.message }, error.describe())
    enter({ kind: 'failed', at: now(), error })
    await release(0)
  }

  const begin = async (signal: AbortSignal): Promise<void> => {
    log.info({ event: 'workload.starting', replicas: workload.replicas }, 'starting')
    const { listen } = parseCellSettings(workload.hostInterfaces)
    isolation = isolationOf(workload, options.isolation)
    // Before anything is fetched: most are refused here.
    if (listen !== undefined) {
      const { namespace, name: workloadName } = workload
      ownAddress = await listenClaims.claim({ namespace, workloadName, address: listen })
    }
    const prepared = await prepareComponents(workload, id, options, { signal })
    callable = prepared
    const http = exposeHttp(
      prepared.filter(({ role }) => role === 'http').map(({ facts }) => facts.componentName),
      workload.hostInterfaces,
      { listens: listen !== undefined },
    )
    const listening = listen && { ...listen, component: listeningComponent(workload.name, prepared) }
    for (const message of [...prepared.flatMap(({ warnings }) => warnings), ...http.warnings]) {
      log.warn({ event: 'workload.warning' }, message)
    }
    components = prepared.map((component) => toStatus(component, http.exposures, listening))
    const context = {
      engine: options.engine,
      log,
      deniedAddresses: options.deniedAddresses ?? [],
      allowedHostPaths: options.allowedHostPaths ?? [],
      idleTimeoutMs: options.idleTimeoutMs ?? 300_000,
      ...(options.isolation !== undefined && { isolation: options.isolation }),
      ...(options.cpuLimitMillicores !== undefined && { cpuLimitMillicores: options.cpuLimitMillicores }),
    }
    while (replicas.length < workload.replicas) {
      const replica = await startReplica(workload, id, prepared, context, { signal })
      replicas.push(replica)
      watchCell(replica.cell)
    }
    if (listening !== undefined) await listenItself(listening)
    signal.throwIfAborted()
    if (workload.replicas === 0) log.warn({ event: 'workload.warning' }, 'replicas is 0: nothing runs')
    else for (const exposure of mergeHosts(http.exposures)) addRoutes(exposure)
    enter({ kind: 'running', since: now() })
    log.info(
      { event: 'workload.running', components: components.map(({ name }) => name), cells: replicas.length },
      'running',
    )
    void runAll(prepared, http.exposures)
  }

  const addRoutes = ({ component, hosts }: HttpExposure): void => {
    routes.push(claims.claim({ namespace: workload.namespace, workloadName: workload.name, hosts }))
    for (const { cell } of replicas)
      routes.push(ingress.route({ hosts: hosts === 'any' ? '*' : hosts, cell, component }))
  }

  /** In all its cells: the system shares the connections out among them. */
  const listenItself = async ({ component, host, port }: Listening): Promise<void> => {
    for (const { cell } of replicas) {
      if (cell.listenHttp === undefined)
        throw new HeraldError('ERR_INGRESS_LISTEN', 'cells of this engine do not listen')
      await cell.listenHttp(component, { ...listenerLimits, host, port })
    }
    log.info({ event: 'workload.listening', component, host, port }, 'it listens itself')
  }

  const watchCell = (cell: Cell): void => {
    cell.onStateChange((cellState) => {
      const reason = 'reason' in cellState ? cellState.reason : undefined
      const event = { event: 'cell.state', state: cellState.kind, reason }
      if (reason === undefined) log.info(event, `the cell is ${cellState.kind}`)
      else log.warn(event, `the cell is ${cellState.kind}: ${reason}`)
      if (state.kind !== 'running' || !replicas.every((replica) => replica.cell.state.kind === 'failed')) return
      void fail(
        new HeraldError('ERR_WORKLOAD_CELL_FAILED', `no cell of ${workload.name} is left: ${reason}`, {
          hint: "see the component's own output above, and correct it",
        }),
      )
    })
  }

  /** Runs what is run, and settles the workload's state by how it ends. Never rejects. */
  const runAll = async (prepared: readonly PreparedComponent[], exposures: readonly HttpExposure[]): Promise<void> => {
    const runs = prepared.filter(({ role }) => role === 'run')
    const service = prepared.find(({ role }) => role === 'service')
    const serves =
      exposures.length > 0 ||
      ownAddress !== undefined ||
      service !== undefined ||
      prepared.some(({ role }) => role === 'handler')
    const tasks = replicas.flatMap(({ cell }) => [
      ...runs.map((component) => runOnce(cell, component)),
      ...(service === undefined ? [] : [runService(cell, service)]),
    ])
    const failures = (await Promise.all(tasks)).filter((error) => error !== undefined)
    if (serves || runs.length === 0) return
    const [failure] = failures
    if (failure !== undefined) await fail(failure)
    else if (state.kind === 'running' && replicas.length > 0) {
      await release(0)
      enter({ kind: 'completed', at: now() })
      log.info({ event: 'workload.completed', exitCodes }, 'ran to completion')
    }
  }

  const runOnce = async (cell: Cell, { facts }: PreparedComponent): Promise<HeraldError | undefined> => {
    const name = facts.componentName
    try {
      const { exitCode } = await cell.run(name, { signal: ending.signal })
      exitCodes[name] = Math.max(exitCodes[name] ?? 0, exitCode)
      log.info({ event: 'component.exited', component: name, exitCode }, `ended with exit code ${exitCode}`)
      if (exitCode === 0) return undefined
      return new HeraldError('ERR_WORKLOAD_EXITED', `component ${name} ended with exit code ${exitCode}`, {
        hint: 'its own output says why',
      })
    } catch (cause) {
      if (releasing !== undefined) return undefined
      log.error(
        { event: 'component.failed', component: name, reason: (cause as Error).message },
        'did not run to completion',
      )
      return toHeraldError(cause, 'ERR_WORKLOAD_EXITED', `component ${name} did not run to completion`)
    }
  }

  const runService = async (cell: Cell, { facts }: PreparedComponent): Promise<undefined> => {
    const name = facts.componentName
    const run = async (): Promise<{ exitCode: number }> => {
      const result = await cell.run(name, { signal: serviceEnding.signal })
      exitCodes[name] = result.exitCode
      return result
    }
    const maxRestarts = workload.service?.maxRestarts ?? 0
    const end = await superviseService(run, { maxRestarts, clock, log, signal: serviceEnding.signal })
    if (end === undefined) return
    const how =
      end.exitCode === undefined ? `failed: ${(end.cause as Error).message}` : `ended with exit code ${end.exitCode}`
    await fail(
      new HeraldError('ERR_WORKLOAD_EXITED', `the service of ${workload.name} ${how}, after ${end.restarts} restarts`, {
        hint: 'a service is to run for ever: correct it, or raise maxRestarts',
        cause: end.cause,
      }),
    )
  }

  return {
    id,
    ended: ended.promise,
    async start({ signal }) {
      const both = AbortSignal.any([signal, ending.signal])
      const { namespace, name } = workload
      const about = { 'herald.workload.namespace': namespace, 'herald.workload.name': name }
      const begun = measured(options.tracer, 'herald.workload.start', about, () => begin(both))
      starting = begun.catch(async (cause: unknown) => {
        const { aborted } = both
        await release(0)
        const error = toHeraldError(cause, 'ERR_INTERNAL', `workload ${workload.name} could not be started`)
        if (aborted) enter({ kind: 'stopped', at: now() })
        else {
          log.error({ event: 'workload.failed', code: error.code, reason: error.message }, error.describe())
          enter({ kind: 'failed', at: now(), error })
        }
        throw aborted ? cause : error
      })
      await starting
    },
    async stop({ drainTimeoutMs = 0 }) {
      if (state.kind === 'starting') {
        ending.abort(new HeraldError('ERR_HOST_DRAINING', `workload ${workload.name} was stopped while it started`))
        await starting?.catch(() => {})
      } else if (state.kind === 'running') {
        log.info({ event: 'workload.stopping', drainTimeoutMs }, 'stopping')
        enter({ kind: 'stopping', since: now() })
      }
      await release(drainTimeoutMs)
      if (isFinal(state)) return
      enter({ kind: 'stopped', at: now() })
      log.info({ event: 'workload.stopped' }, 'stopped')
    },
    status: () => ({
      id,
      namespace: workload.namespace,
      name: workload.name,
      state,
      components,
      isolation,
      cells: replicas.map(({ cell }) => cell.state),
      metrics: replicas.map(({ cell }) => cell.metrics()),
      exitCodes: { ...exitCodes },
    }),
    onStateChange: (listener) => void listeners.add(listener),
    call: (request, callOptions) =>
      callExport(
        request,
        callable,
        replicas.map(({ cell }) => cell),
        callOptions,
      ),
  }
}

/** As the ingress has them. */
const listenerLimits = { maxHeaderBytes: 16_384, keepAliveTimeoutMs: 75_000, maxConnections: 10_000 }

type Listening = NonNullable<CellSettings['listen']> & { readonly component: string }

function toStatus(
  { facts, role, grants }: PreparedComponent,
  exposures: readonly HttpExposure[],
  listening: Listening | undefined,
): ComponentStatus {
  return {
    name: facts.componentName,
    image: facts.image,
    imageDigest: facts.imageDigest,
    facts,
    audiences: grants.flatMap(({ entries }) => entries.flatMap(audiencesOf)),
    serves:
      role === 'http'
        ? [
            ...mergeHosts(exposures)
              .filter(({ component }) => component === facts.componentName)
              .map(({ hosts }) => ({ kind: 'http' as const, hosts })),
            ...(listening === undefined ? [] : [{ kind: 'listen' as const, url: listenerUrl(listening) }]),
          ]
        : [{ kind: role }],
  }
}

function listenerUrl({ host, port }: Listening): string {
  return `http://${listenRangeText({ host, firstPort: port, lastPort: port })}`
}

function audiencesOf({ namespace, package: name, config }: HostInterface): readonly string[] {
  return namespace === 'wasmcloud' && name === 'identity' ? (parseAudiences(config.audiences ?? '') ?? []) : []
}

/** One exposure for each component. */
function mergeHosts(exposures: readonly HttpExposure[]): HttpExposure[] {
  const merged = new Map<string, readonly string[] | 'any'>()
  for (const { component, hosts } of exposures) {
    const known = merged.get(component)
    const all = known === 'any' || hosts === 'any' ? 'any' : [...new Set([...(known ?? []), ...hosts])]
    merged.set(component, all)
  }
  return [...merged].map(([component, hosts]) => ({ component, hosts }))
}

function toHeraldError(cause: unknown, code: 'ERR_INTERNAL' | 'ERR_WORKLOAD_EXITED', what: string): HeraldError {
  if (cause instanceof HeraldError) return cause
  return new HeraldError(code, `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
}
