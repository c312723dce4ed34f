import { HeraldError } from '../errors/herald-error.ts'
import type { CompiledComponent, CompileJob } from './compile-job.ts'
import { CompileLane } from './compile-lane.ts'
import { KeptComponents, keyOfJob } from './kept-components.ts'

type Waiting = { readonly tenant: string; readonly begin: (lane: CompileLane) => Promise<void> }

export type CompileOptions = {
  readonly signal?: AbortSignal | undefined
  /** Who waits for it: the namespace of the workload. Default: one for all that name none. */
  readonly tenant?: string | undefined
}

/**
 * Compiles components on two worker threads, and those that are in use once. A tenant has one of the two at a time, and tenants take turns:
 * whoever deploys what takes for ever to compile delays its own deployments.
 */
export class Compiler implements AsyncDisposable {
  readonly #kept = new KeptComponents()
  readonly #lanes = [new CompileLane(), new CompileLane()]
  /** Tenant of what is compiled on the lane, for those that are busy. */
  readonly #busy = new Map<CompileLane, string>()
  /** In the order in which they came. */
  readonly #waiting: Waiting[] = []
  /** Tenants that wait or were served since there was nobody who waits, least recently served first. */
  readonly #served = new Set<string>()
  #closed = false

  /** @throws HeraldError with an ERR_COMPONENT_… code; the signal's reason when aborted. */
  compile(job: CompileJob, { signal, tenant = '' }: CompileOptions = {}): Promise<CompiledComponent> {
    const { promise, resolve, reject } = Promise.withResolvers<CompiledComponent>()
    const begin = (lane: CompileLane): Promise<void> => this.#run(lane, job, signal).then(resolve, reject)
    this.#waiting.push({ tenant, begin })
    this.#serve()
    return promise
  }

  #serve(): void {
    for (const lane of this.#lanes) {
      if (this.#busy.has(lane)) continue
      const next = this.#next()
      if (next === undefined) return
      this.#waiting.splice(this.#waiting.indexOf(next), 1)
      this.#busy.set(lane, next.tenant)
      this.#served.delete(next.tenant)
      this.#served.add(next.tenant)
      void next.begin(lane).then(() => {
        this.#busy.delete(lane)
        if (this.#waiting.length === 0) this.#served.clear()
        this.#serve()
      })
    }
  }

  /** Of the tenants that have no lane, the one whose last turn is the longest ago; of its components the first. */
  #next(): Waiting | undefined {
    const busy = new Set(this.#busy.values())
    const free = this.#waiting.filter(({ tenant }) => !busy.has(tenant))
    const turns = [...this.#served]
    return free.reduce<Waiting | undefined>(
      (best, each) => (best === undefined || turns.indexOf(each.tenant) < turns.indexOf(best.tenant) ? each : best),
      undefined,
    )
  }

  async #run(lane: CompileLane, job: CompileJob, signal: AbortSignal | undefined): Promise<CompiledComponent> {
    // What is only described has nothing that somebody could hold.
    const key = job.served === undefined ? undefined : await keyOfJob(job)
    signal?.throwIfAborted()
    if (this.#closed) throw new HeraldError('ERR_CELL_ENDED', 'the engine is closed')
    const kept = key === undefined ? undefined : this.#kept.get(key)
    if (kept !== undefined) return kept
    const compiled = await lane.compile(job, signal)
    if (key !== undefined) this.#kept.keep(key, compiled)
    return compiled
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#kept.clear()
    await Promise.all(this.#lanes.map((lane) => lane[Symbol.asyncDispose]()))
  }
}
