/** Time as a parameter, so that tests own it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number
  /** Resolves after `durationMs`. @throws the signal's reason when aborted. Never keeps the process alive. */
  sleep(durationMs: number, options?: { signal?: AbortSignal }): Promise<void>
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (durationMs, { signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      // setTimeout wraps around above 2^31-1 ms; a longer sleep is cut there and callers re-check the time.
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
        Math.min(Math.max(durationMs, 0), 2_147_483_647),
      )
      timer.unref()
      signal?.addEventListener('abort', onAbort)
    }),
}
