import type { Clock } from '../clock/clock.ts'

export type SharedWorkOptions = {
  readonly clock: Clock
  /** How long work goes on after the last who waited has left, ms: somebody may come back for it. */
  readonly lingerMs: number
  /** Ends what lingers. */
  readonly signal: AbortSignal | undefined
}

/** One piece of work for all who want the same thing at the same time. It is aborted some time after nobody waits for it any more. */
export class SharedWork<T, P> {
  readonly #options: SharedWorkOptions
  readonly #running = new Map<string, Work<T, P>>()

  constructor(options: SharedWorkOptions) {
    this.#options = options
  }

  /** @throws the signal's reason, or what `start` threw */
  async run(
    key: string,
    { signal, onProgress }: { signal: AbortSignal; onProgress: ((progress: P) => void) | undefined },
    start: (options: { signal: AbortSignal; onProgress: (progress: P) => void }) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted()
    let work = this.#running.get(key)
    if (work === undefined) {
      const controller = new AbortController()
      const listeners = new Set<(progress: P) => void>()
      const report = (progress: P) => {
        for (const listener of listeners) listener(progress)
      }
      const promise = start({ signal: controller.signal, onProgress: report }).finally(() => {
        if (this.#running.get(key)?.controller === controller) this.#running.delete(key)
      })
      promise.catch(() => {}) // whoever waits sees it; nobody may be left
      work = { promise, controller, listeners, waiting: 0 }
      this.#running.set(key, work)
    }
    const current = work
    current.waiting++
    if (onProgress) current.listeners.add(onProgress)
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([current.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
      if (onProgress) current.listeners.delete(onProgress)
      if (--current.waiting === 0) void this.#abandon(key, current)
    }
  }

  async #abandon(key: string, work: Work<T, P>): Promise<void> {
    const { clock, lingerMs, signal } = this.#options
    if (lingerMs > 0) await clock.sleep(lingerMs, { ...(signal && { signal }) }).catch(() => {})
    if (work.waiting > 0) return
    if (this.#running.get(key) === work) this.#running.delete(key)
    work.controller.abort()
  }
}

type Work<T, P> = {
  promise: Promise<T>
  controller: AbortController
  listeners: Set<(progress: P) => void>
  waiting: number
}
