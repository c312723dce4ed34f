import { setTimeout } from 'node:timers/promises'
import type { HeraldError } from '../errors/herald-error.ts'
import type { FinalState } from '../host/workload-state.ts'
import type { WiredHost } from './wire-host.ts'

/**
 * Waits until `ended`, when all workloads have, or until `signal` aborts; then the host takes no new work, and what is in flight may finish.
 * @throws the error of the first workload that failed, when nothing is left running.
 */
export async function runUntilEnded(
  host: WiredHost,
  ended: Promise<readonly FinalState[]>,
  {
    drainTimeoutMs,
    drainDelayMs = 0,
    signal,
  }: {
    drainTimeoutMs: number
    /** How long requests are still taken after the abort. */
    drainDelayMs?: number
    signal: AbortSignal
  },
): Promise<void> {
  const interrupted = Promise.withResolvers<'interrupted'>()
  const onAbort = (): void => interrupted.resolve('interrupted')
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  // A signal listener alone does not keep a process alive.
  const alive = setInterval(() => {}, 60_000)
  try {
    const result = await Promise.race([interrupted.promise, ended])
    if (result === 'interrupted') await setTimeout(drainDelayMs)
    await host.drain({ drainTimeoutMs })
    if (result === 'interrupted') return
    const failure: HeraldError | undefined = result.find((state) => state.kind === 'failed')?.error
    if (failure !== undefined) throw failure
  } finally {
    clearInterval(alive)
    signal.removeEventListener('abort', onAbort)
  }
}
