import type { Clock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { ControlledHost, WorkloadReport, WorkloadStart } from './controlled-host.ts'

export type WorkloadTableOptions = {
  readonly host: ControlledHost
  readonly log: Log
  readonly clock: Clock
  /** A start that takes longer has failed, ms. The operator waits 60 s. */
  readonly startTimeoutMs: number
  /** A stop that takes longer is answered as under way, ms. The operator waits 30 s. */
  readonly stopTimeoutMs: number
  /** A running workload that is to stop takes requests for so long after the answer: those who send them learn of its end only then. */
  readonly stopDelayMs: number
}

export type TableStatus = WorkloadReport | { readonly state: 'not-found'; readonly message: string }

/** The workloads the lattice asked for, by id: makes repeated, crossing and late requests harmless. */
export interface WorkloadTable {
  /** Answers once the workload serves or has failed, within the time limit. Never rejects. `prepare` runs for a new id only. */
  start(workloadId: string, prepare: () => WorkloadStart): Promise<TableStatus>
  status(workloadId: string): TableStatus
  /** As `status`, but nobody counts as having asked. */
  peek(workloadId: string): TableStatus
  /** Never rejects. */
  stop(workloadId: string): Promise<TableStatus>
  /** Ids and when somebody last asked about them, ms. */
  lastAsked(): ReadonlyMap<string, number>
  /** New ids are refused from now on. */
  refuseStarts(): void
  /** What is starting is given up and answered as failed; what waits to be stopped is stopped. */
  abortStarts(): void
}

type Entry = {
  lastAskedMs: number
  starting: Start | undefined
  stopping: Promise<void> | undefined
  failure: HeraldError | undefined
}
type Start = { readonly done: Promise<void>; readonly abort: (reason: HeraldError) => void }

/** How long a stopped id is remembered, so that a start that comes late does not bring it back, ms. The operator waits 60 s for a start. */
const rememberStoppedMs = 120_000
const maxRemembered = 10_000

export function createWorkloadTable({
  host,
  log,
  clock,
  startTimeoutMs,
  stopTimeoutMs,
  stopDelayMs,
}: WorkloadTableOptions): WorkloadTable {
  const entries = new Map<string, Entry>()
  const stopped = new Map<string, number>()
  let refusing = false
  /** Ends the delays of stops. */
  const ending = new AbortController()

  function begin(workloadId: string, prepare: () => WorkloadStart, entry: Entry): Start {
    const controller = new AbortController()
    const failed = Promise.withResolvers<never>()
    const abort = (reason: HeraldError) => {
      controller.abort(reason)
      failed.reject(reason)
    }
    failed.promise.catch(() => {})
    const run = async () => {
      const timer = new AbortController()
      clock.sleep(startTimeoutMs, { signal: timer.signal }).then(
        () => abort(startTimeout(startTimeoutMs)),
        () => {},
      )
      // Asynchronous from here on, so that the entry exists before anything of the host runs.
      const started = Promise.resolve().then(() => host.start(prepare(), { signal: controller.signal }))
      try {
        await Promise.race([started, failed.promise])
      } catch (error) {
        entry.failure = toHeraldError(error)
        log.warn({ event: 'control.start-failed', workloadId, code: entry.failure.code }, entry.failure.describe())
        if (controller.signal.aborted) void clearAway(workloadId, started)
      } finally {
        timer.abort()
        entry.starting = undefined
      }
    }
    return { done: run(), abort }
  }

  /** A start that was given up may still succeed: then its workload is taken down again. */
  async function clearAway(workloadId: string, started: Promise<void>): Promise<void> {
    await started.catch(() => {})
    await host.stop(workloadId).catch((error: unknown) => {
      log.error(
        { event: 'control.cleanup-failed', workloadId, code: toHeraldError(error).code },
        'a workload that did not start in time could not be removed',
      )
    })
  }

  async function stopLater(workloadId: string): Promise<void> {
    await clock.sleep(stopDelayMs, { signal: ending.signal }).catch(() => {})
    await host.stop(workloadId)
  }

  function statusOf(workloadId: string): TableStatus {
    const entry = entries.get(workloadId)
    if (entry?.stopping !== undefined) return { state: 'stopping', message: '' }
    if (entry?.failure !== undefined) return { state: 'error', message: entry.failure.describe() }
    if (entry?.starting !== undefined) return host.status(workloadId) ?? { state: 'starting', message: '' }
    return (
      host.status(workloadId) ?? { state: 'not-found', message: `this host does not know the workload ${workloadId}` }
    )
  }

  function rememberStopped(workloadId: string): void {
    const now = clock.nowMs()
    for (const [id, atMs] of stopped) {
      if (atMs > now - rememberStoppedMs && stopped.size < maxRemembered) break
      stopped.delete(id)
    }
    stopped.set(workloadId, now)
  }

  return {
    async start(workloadId, prepare) {
      const now = clock.nowMs()
      const known = entries.get(workloadId)
      if (known !== undefined) known.lastAskedMs = now
      const lost = known !== undefined && statusOf(workloadId).state === 'not-found'
      if (!lost && (known !== undefined || host.status(workloadId) !== undefined)) {
        await known?.starting?.done
        return statusOf(workloadId)
      }
      if ((stopped.get(workloadId) ?? Number.NEGATIVE_INFINITY) > now - rememberStoppedMs) {
        return { state: 'error', message: `the workload ${workloadId} was stopped before this start arrived` }
      }
      if (refusing) {
        return {
          state: 'error',
          message: new HeraldError('ERR_HOST_DRAINING', 'the host is shutting down', {
            hint: 'start it on another host',
          }).describe(),
        }
      }
      const entry: Entry = { lastAskedMs: now, starting: undefined, stopping: undefined, failure: undefined }
      entries.set(workloadId, entry)
      entry.starting = begin(workloadId, prepare, entry)
      await entry.starting.done
      return statusOf(workloadId)
    },

    status(workloadId) {
      const entry = entries.get(workloadId)
      if (entry) entry.lastAskedMs = clock.nowMs()
      return statusOf(workloadId)
    },

    peek: statusOf,

    async stop(workloadId) {
      const entry = entries.get(workloadId)
      rememberStopped(workloadId)
      if (entry === undefined && host.status(workloadId) === undefined) {
        return { state: 'not-found', message: `this host does not know the workload ${workloadId}` }
      }
      entry?.starting?.abort(new HeraldError('ERR_HOST_DRAINING', 'the workload was stopped while it started'))
      let failure: HeraldError | undefined
      const delayed = stopDelayMs > 0 && host.status(workloadId)?.state === 'running'
      const stopping = (entry?.stopping ?? (delayed ? stopLater(workloadId) : host.stop(workloadId))).then(
        () => void entries.delete(workloadId),
        (error: unknown) => {
          failure = toHeraldError(error)
          log.error({ event: 'control.stop-failed', workloadId, code: failure.code }, failure.describe())
          if (entry) entry.stopping = undefined
        },
      )
      if (entry) entry.stopping ??= stopping
      if (delayed) return { state: 'stopping', message: '' }
      const timer = new AbortController()
      await Promise.race([stopping, clock.sleep(stopTimeoutMs, { signal: timer.signal }).catch(() => {})])
      timer.abort()
      return failure === undefined
        ? { state: 'stopping', message: '' }
        : { state: 'error', message: failure.describe() }
    },

    lastAsked: () => new Map([...entries].map(([workloadId, entry]) => [workloadId, entry.lastAskedMs])),
    refuseStarts: () => {
      refusing = true
    },
    abortStarts: () => {
      ending.abort()
      for (const { starting } of entries.values())
        starting?.abort(new HeraldError('ERR_HOST_DRAINING', 'the host is shutting down'))
    },
  }
}

function startTimeout(startTimeoutMs: number): HeraldError {
  return new HeraldError('ERR_CONTROL_START_TIMEOUT', `the workload did not serve within ${startTimeoutMs / 1000} s`, {
    hint: 'a large image may still be on its way into the cache: try again; else look at the log of the host',
  })
}

function toHeraldError(error: unknown): HeraldError {
  if (isHeraldError(error)) return error
  // Foreign errors may quote anything; what they say stays in the log of the host.
  return new HeraldError('ERR_INTERNAL', 'the host failed in a way it did not foresee', {
    hint: 'look at the log of the host',
    cause: error,
  })
}
