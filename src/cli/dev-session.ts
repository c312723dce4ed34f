import { resolve } from 'node:path'
import { systemClock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Host, WorkloadHandle } from '../host/host.ts'
import type { FinalState, WorkloadStatus } from '../host/workload-state.ts'
import type { Workload } from '../manifest/workload.ts'
import type { Log } from '../observability/log.ts'
import type { DevTarget } from './dev-target.ts'
import { watchFiles } from './watch-files.ts'

export type DevSessionOptions = {
  readonly host: Host
  readonly first: DevTarget
  /** Reads what is to run anew, after a change. */
  readonly find: () => Promise<DevTarget>
  /** How long requests to what was replaced may go on, ms. */
  readonly drainTimeoutMs: number
  readonly reload: boolean
  readonly cwd: string
  readonly log: Log
  /** Told after the start and after each reload; `tookMs` from the change to the new workloads serving. */
  readonly onServing: (serving: {
    target: DevTarget
    statuses: readonly WorkloadStatus[]
    tookMs: number | undefined
  }) => void
}

/** The longest time that requests to what was replaced hold up the word that there is something new, ms. */
const sayAfterMs = 500

export interface DevSession extends Disposable {
  /** Resolves once all workloads that are not replaced have ended. */
  readonly ended: Promise<readonly FinalState[]>
}

/**
 * Runs `first`, and what `find` finds when one of its files changes: the new workloads serve before the old ones end, and when they cannot
 * be started the old ones go on and the reason is logged.
 * @throws what the first start throws
 */
export async function startDevSession(
  options: DevSessionOptions,
  { signal }: { signal: AbortSignal },
): Promise<DevSession> {
  const { host, find, drainTimeoutMs, cwd, log, onServing } = options
  const ended = Promise.withResolvers<readonly FinalState[]>()
  let running: readonly WorkloadHandle[] = []
  let changed = false
  let reloading = false

  const start = async (target: DevTarget): Promise<{ target: DevTarget; handles: readonly WorkloadHandle[] }> => {
    for (const { message, where } of target.warnings) log.warn({ event: 'manifest.warning', ...where }, message)
    const handles: WorkloadHandle[] = []
    try {
      for (const workload of target.workloads) handles.push(await deploy(host, workload, target, signal))
    } catch (error) {
      await Promise.all(handles.map((handle) => handle.stop()))
      throw error
    }
    return { target, handles }
  }

  /** Resolves `ended` when these have ended, unless others take their place. */
  const follow = (handles: readonly WorkloadHandle[]): void => {
    running = handles
    void Promise.all(handles.map((handle) => handle.ended)).then((states) => {
      if (running === handles && !reloading) ended.resolve(states)
    })
  }

  const reload = async (): Promise<void> => {
    const startedMs = performance.now()
    const old = running
    try {
      const { target, handles } = await start(await find())
      running = handles
      await watcher.follow(filesOf(target, cwd))
      const tookMs = performance.now() - startedMs
      const released = Promise.all(old.map((handle) => handle.stop({ drainTimeoutMs }))).catch((error: Error) =>
        log.error({ event: 'dev.release_failed', reason: error.message }, 'what was replaced was not released whole'),
      )
      // Said once the old one takes no more requests, unless it still answers some.
      await Promise.race([released, systemClock.sleep(sayAfterMs)])
      onServing({ target, statuses: handles.map((handle) => handle.status()), tookMs })
    } catch (error) {
      if (signal.aborted) return
      const known = isHeraldError(error) ? error : new HeraldError('ERR_INTERNAL', String(error), { cause: error })
      log.error({ event: 'dev.reload_failed', code: known.code }, `what runs goes on: ${known.describe()}`)
    }
  }

  const onChange = (): void => {
    changed = true
    if (reloading) return
    reloading = true
    void (async () => {
      while (changed && !signal.aborted) {
        changed = false
        log.info({ event: 'dev.changed' }, 'a file has changed')
        await reload()
      }
      reloading = false
      follow(running)
    })()
  }

  const watcher = watchFiles(onChange)
  try {
    const { target, handles } = await start(options.first)
    if (options.reload) await watcher.follow(filesOf(target, cwd))
    onServing({ target, statuses: handles.map((handle) => handle.status()), tookMs: undefined })
    follow(handles)
  } catch (error) {
    watcher[Symbol.dispose]()
    throw error
  }
  return { ended: ended.promise, [Symbol.dispose]: () => watcher[Symbol.dispose]() }
}

function filesOf({ file, workloads }: DevTarget, cwd: string): string[] {
  const images = workloads.flatMap(({ components, service }) => [
    ...components,
    ...(service === undefined ? [] : [service]),
  ])
  const paths = images.flatMap(({ image }) => (image.kind === 'file' ? [image.path] : []))
  return [...new Set([resolve(cwd, file), ...paths])]
}

async function deploy(
  host: Host,
  workload: Workload,
  { kind }: DevTarget,
  signal: AbortSignal,
): Promise<WorkloadHandle> {
  // On a laptop there is one host, and it takes everything.
  const here: Workload = { ...workload, hostSelector: {}, environment: undefined, hostId: undefined }
  try {
    return await host.deploy(here, { signal })
  } catch (error) {
    const denied = isHeraldError(error, 'ERR_WORKLOAD_IMPORT_DENIED') && error.message.includes('wasmcloud:identity/')
    if (kind === 'component' && denied) {
      const what = `${workload.name} asks for an identity, and none is given by default`
      throw new HeraldError('ERR_WORKLOAD_IMPORT_DENIED', what, {
        hint: 'say for which audiences it may get tokens: --audience sts.amazonaws.com',
        cause: error,
      })
    }
    throw error
  }
}
