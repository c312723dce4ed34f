import type { Clock } from '../clock/clock.ts'

/** A component's end of a capability that counts what happens, and tells it at intervals. */
type GatheredBinding = { gather(): void; release(): void }

/** The bindings of one capability that are open. Disposal releases them. */
export class GatheredBindings<Binding extends GatheredBinding> implements AsyncDisposable {
  readonly #open = new Set<Binding>()
  readonly #lifetime = new AbortController()
  readonly #options: { readonly clock: Clock; readonly gatherMs: number }

  constructor(options: { clock: Clock; gatherMs: number }) {
    this.#options = options
  }

  /** From now on `gather` is called on each, every `gatherMs`. */
  start(): void {
    this.#gatherForever().catch(() => {})
  }

  add(binding: Binding): Binding {
    this.#open.add(binding)
    return binding
  }

  delete(binding: Binding): void {
    this.#open.delete(binding)
  }

  async #gatherForever(): Promise<void> {
    const { clock, gatherMs } = this.#options
    for (;;) {
      await clock.sleep(gatherMs, { signal: this.#lifetime.signal })
      for (const binding of this.#open) binding.gather()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lifetime.abort()
    for (const binding of [...this.#open]) binding.release()
  }
}
