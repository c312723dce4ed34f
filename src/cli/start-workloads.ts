import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Host, WorkloadHandle } from '../host/host.ts'
import type { FinalState } from '../host/workload-state.ts'
import type { ImageSource } from '../manifest/image-source.ts'
import type { Workload } from '../manifest/workload.ts'
import type { Log } from '../observability/log.ts'

export type StartedWorkloads = {
  readonly handles: readonly WorkloadHandle[]
  /** What cannot be served, and why; each has been logged. */
  readonly failures: readonly WorkloadFailure[]
}

export type WorkloadFailure = { readonly workload: string; readonly error: HeraldError }

export type StartOptions = {
  readonly log: Log
  readonly signal: AbortSignal
  /** Where its images come from, its own credentials included. @throws HeraldError: then it is not served */
  readonly imagesFor: (workload: Workload) => Promise<ImageSource>
}

/** Starts one workload after the other; one that cannot be served takes nothing from the others. @throws the signal's reason */
export async function startWorkloads(
  host: Host,
  workloads: readonly Workload[],
  { log, signal, imagesFor }: StartOptions,
): Promise<StartedWorkloads> {
  const handles: WorkloadHandle[] = []
  const failures: WorkloadFailure[] = []
  for (const workload of workloads) {
    try {
      handles.push(await host.deploy(workload, { signal, images: await imagesFor(workload) }))
    } catch (cause) {
      signal.throwIfAborted()
      const error = isHeraldError(cause) ? cause : new HeraldError('ERR_INTERNAL', String(cause), { cause })
      const name = `${workload.namespace}/${workload.name}`
      failures.push({ workload: name, error })
      log.error({ event: 'host.workload_not_served', workload: name, code: error.code }, error.describe())
    }
  }
  return { handles, failures }
}

/** How all of them ended; those that never served have failed. */
export async function allEnded({ handles, failures }: StartedWorkloads): Promise<readonly FinalState[]> {
  const ended = await Promise.all(handles.map((handle) => handle.ended))
  return [...ended, ...failures.map(({ error }): FinalState => ({ kind: 'failed', at: new Date(), error }))]
}
