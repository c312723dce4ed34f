import type { Clock } from '../clock/clock.ts'

/** A signal that aborts after `durationMs` of the given clock, or with its parent. Dispose it when the work is over. */
export function startDeadline(
  clock: Clock,
  durationMs: number,
  parent: AbortSignal,
): { readonly signal: AbortSignal } & Disposable {
  const over = new AbortController()
  const elapsed = new AbortController()
  clock.sleep(durationMs, { signal: over.signal }).then(
    () => elapsed.abort(new DOMException(`not done within ${durationMs} ms`, 'TimeoutError')),
    () => {},
  )
  return {
    signal: AbortSignal.any([parent, elapsed.signal]),
    [Symbol.dispose]: () => over.abort(),
  }
}
