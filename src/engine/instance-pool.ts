/** Thrown when a call cannot wait any longer for an instance, or nobody may wait any more. */
export class PoolBusyError extends Error {
  override readonly name: string = 'PoolBusyError'
}

export type InstancePoolOptions<T> = {
  readonly create: () => T
  readonly destroy: (item: T) => void
  /** Instances kept when idle; 0: each is used once. */
  readonly keep: number
  readonly maxItems: number
  readonly maxWaiting: number
  /** Retire an item after so many uses; 0 = never. */
  readonly maxUses: number
}

/** What a pool notes with each of its items; nobody else writes it. */
export interface Pooled {
  uses: number
  inUse: boolean
}

type Waiter<T> = { resolve(item: T): void; reject(error: Error): void }

/** Idle items above `keep` are dropped when they were not needed for so long. */
const trimAfterMs = 10_000

/** Hands out each item to one user at a time. */
export class InstancePool<T extends Pooled> {
  readonly #options: InstancePoolOptions<T>
  readonly #idle: T[] = []
  #used = 0
  readonly #waiting = new Set<Waiter<T>>()
  #fewestIdle = 0
  #trimmer: NodeJS.Timeout | undefined

  constructor(options: InstancePoolOptions<T>) {
    this.#options = options
  }

  get size(): number {
    return this.#idle.length + this.#used
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Makes one idle item if there are fewer than are kept. @returns whether it made one. @throws what `create` throws. */
  warm(): boolean {
    if (this.size >= this.#options.keep) return false
    this.#idle.push(this.#options.create())
    return true
  }

  /** An item at once when one is free or may be made. @throws what `create` throws. */
  tryCheckout(): T | undefined {
    let item = this.#idle.pop()
    if (item === undefined) {
      if (this.#used >= this.#options.maxItems) return undefined
      item = this.#options.create()
    }
    if (this.#idle.length < this.#fewestIdle) this.#fewestIdle = this.#idle.length
    item.uses += 1
    item.inUse = true
    this.#used += 1
    return item
  }

  /** Waits its turn. @throws PoolBusyError when the queue is full; the signal's reason when aborted. */
  async checkout(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    const item = this.#waiting.size === 0 ? this.tryCheckout() : undefined
    if (item !== undefined) return item
    if (this.#waiting.size >= this.#options.maxWaiting)
      throw new PoolBusyError('too many calls are waiting for an instance')
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const waiter: Waiter<T> = { resolve, reject }
    const onAbort = () => {
      this.#waiting.delete(waiter)
      reject(signal.reason)
    }
    this.#waiting.add(waiter)
    signal.addEventListener('abort', onAbort, { once: true })
    return promise.finally(() => signal.removeEventListener('abort', onAbort))
  }

  /** Gives an item back. One that is not `healthy` is destroyed, and so is one that has been used often enough. */
  checkin(item: T, healthy: boolean): void {
    if (!item.inUse) return
    item.inUse = false
    this.#used -= 1
    const { keep, maxUses, destroy } = this.#options
    if (healthy && keep > 0 && (maxUses === 0 || item.uses < maxUses)) {
      this.#idle.push(item)
      if (this.#idle.length > keep) this.#trimLater()
    } else destroy(item)
    this.#serveWaiting()
  }

  close(): void {
    clearTimeout(this.#trimmer)
    for (const item of this.#idle.splice(0)) this.#options.destroy(item)
  }

  #serveWaiting(): void {
    for (const waiter of this.#waiting) {
      let item: T | undefined
      try {
        item = this.tryCheckout()
        if (item === undefined) return
        waiter.resolve(item)
      } catch (error) {
        waiter.reject(error as Error)
      }
      this.#waiting.delete(waiter)
    }
  }

  #trimLater(): void {
    if (this.#trimmer !== undefined) return
    this.#fewestIdle = this.#idle.length
    this.#trimmer = setTimeout(() => {
      this.#trimmer = undefined
      const surplus = Math.min(this.#fewestIdle, this.#idle.length - this.#options.keep)
      if (surplus > 0) for (const item of this.#idle.splice(0, surplus)) this.#options.destroy(item)
      if (this.#idle.length > this.#options.keep) this.#trimLater()
    }, trimAfterMs)
    this.#trimmer.unref()
  }
}
