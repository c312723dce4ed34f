/**
 * Something a guest can wait for. Listeners are called when it may have become ready and look at `ready()` again themselves.
 * Work that only serves a waiting guest (a timer, a read ahead) is started in `arm` and given up in `disarm`.
 */
export abstract class Waitable {
  readonly #listeners: (() => void)[] = []

  /** True when the operation behind it would make progress, or has failed. */
  abstract ready(): boolean

  listen(listener: () => void): void {
    this.#listeners.push(listener)
    if (this.#listeners.length === 1) this.arm()
  }

  unlisten(listener: () => void): void {
    const index = this.#listeners.indexOf(listener)
    if (index === -1) return
    this.#listeners.splice(index, 1)
    if (this.#listeners.length === 0) this.disarm()
  }

  protected get isAwaited(): boolean {
    return this.#listeners.length > 0
  }

  /** Called when the first listener comes; must not call `wake` synchronously. */
  protected arm(): void {}

  /** Called when the last listener has gone. */
  protected disarm(): void {}

  protected wake(): void {
    if (this.#listeners.length === 0) return
    for (const listener of this.#listeners.slice()) listener()
  }
}

/** Ready for ever: for what never has to wait. */
class AlwaysReady extends Waitable {
  override ready(): boolean {
    return true
  }
}

export const alwaysReady: Waitable = new AlwaysReady()
