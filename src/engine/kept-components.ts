import type { CompiledComponent, CompileJob } from './compile-job.ts'

type Kept = Omit<CompiledComponent, 'modules'> & { readonly modules: WeakRef<CompiledComponent['modules']> }

/**
 * Compiled components for as long as something runs them, so that another cell of the same component starts without the compiler: what is
 * compiled is held by those who use it, here only weakly.
 */
export class KeptComponents {
  readonly #kept = new Map<string, Kept>()
  readonly #gone = new FinalizationRegistry<string>((key) => {
    if (this.#kept.get(key)?.modules.deref() === undefined) this.#kept.delete(key)
  })

  get(key: string): CompiledComponent | undefined {
    const kept = this.#kept.get(key)
    const modules = kept?.modules.deref()
    return kept && modules && { ...kept, modules }
  }

  /** Those with bytes instead of modules are not: the bytes would be held as long as this. */
  keep(key: string, compiled: CompiledComponent): void {
    if (compiled.cores !== undefined) return
    this.#kept.set(key, { ...compiled, modules: new WeakRef(compiled.modules) })
    this.#gone.register(compiled.modules, key)
  }

  clear(): void {
    this.#kept.clear()
  }
}

/** The same for what compiles to the same. Off this thread: a component may have 40 MB. */
export async function keyOfJob({
  bytes,
  served,
  waits,
  memoryLimitMb,
  keepGlue,
  uncompiled,
}: CompileJob): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return [
    Buffer.from(digest).toString('hex'),
    JSON.stringify([served, waits, memoryLimitMb, keepGlue, uncompiled]),
  ].join(' ')
}
