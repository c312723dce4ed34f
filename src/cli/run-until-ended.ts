import type { HeraldError } from '../errors/herald-error.ts'
import type { WorkloadHandle } from '../host/host.ts'
import type { WiredHost } from './wire-host.ts'

/**
 * Waits until all workloads have ended or `signal` aborts; then the host takes no new work, and what is in flight may finish.
 * @throws the error of the first workload that failed, when nothing is left running.
 */
export async function runUntilEnded(
  host: WiredHost,
  workloads: readonly WorkloadHandle[],
  { drainTimeoutMs, signal }: { drainTimeoutMs: number; signal: AbortSignal },
): Promise<void> {
  const interrupted = Promise.withResolvers<'interrupted'>()
  const onAbort = (): void => interrupted.resolve('interrupted')
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  // A signal listener alone does not keep a process alive.
  const alive = setInterval(() => {}, 60_000)
  try {
    const result = await Promise.race([interrupted.promise, Promise.all(workloads.map(({ ended }) => ended))])
    await host.drain({ drainTimeoutMs })
    if (result === 'interrupted') return
    const failure: HeraldError | undefined = result.find((state) => state.kind === 'failed')?.error
    if (failure !== undefined) throw failure
  } finally {
    clearInterval(alive)
    signal.removeEventListener('abort', onAbort)
  }
}
