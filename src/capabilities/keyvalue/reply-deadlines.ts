type Waiting = { readonly endMs: number; readonly reject: (error: Error) => void }

/** Gives each of many waits the same limit, by one timer: an AbortSignal for each costs more than a short answer from the same machine. */
export class ReplyDeadlines {
  readonly #limitMs: number
  /** In the order in which they end. */
  readonly #waiting = new Set<Waiting>()
  #timer: NodeJS.Timeout | undefined

  constructor(limitMs: number) {
    this.#limitMs = limitMs
  }

  /** @throws Error when `work` has not settled in time; what becomes of it then is not looked at */
  within<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting = { endMs: performance.now() + this.#limitMs, reject }
      this.#waiting.add(waiting)
      this.#timer ??= setTimeout(() => this.#check(), this.#limitMs).unref()
      work.then(
        (value) => {
          this.#waiting.delete(waiting)
          resolve(value)
        },
        (error) => {
          this.#waiting.delete(waiting)
          reject(error)
        },
      )
    })
  }

  #check(): void {
    this.#timer = undefined
    const nowMs = performance.now()
    for (const waiting of this.#waiting) {
      if (waiting.endMs > nowMs) {
        this.#timer = setTimeout(() => this.#check(), waiting.endMs - nowMs).unref()
        return
      }
      this.#waiting.delete(waiting)
      waiting.reject(new Error(`no answer within ${this.#limitMs / 1000} s`))
    }
  }
}
