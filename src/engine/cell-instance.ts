import type { Caller, InstanceContext } from '../capabilities/capability.ts'
import type { Rostered } from '../wasi/roster.ts'
import type { WasiInstance } from '../wasi/wasi.ts'
import type { CoreFunction, GuestEntry } from './guest-entry.ts'
import type { Pooled } from './instance-pool.ts'
import type { ShelvedMemory } from './memory-shelf.ts'

/** jco's `instantiate`: with core modules by name and imports by interface it gives the exports. */
export type Instantiate = (
  getCoreModule: (name: string) => WebAssembly.Module,
  imports: Record<string, object>,
  instantiateCore: (module: WebAssembly.Module, imports?: WebAssembly.Imports) => WebAssembly.Instance,
  /** How an exported core function that may suspend is entered; jco's untouched glue does not ask. */
  enter: (fn: CoreFunction) => CoreFunction,
  /** An array for a long list of bytes from the guest's memory; what is in it is overwritten. */
  take: (length: number) => Uint8Array,
) => Record<string, unknown>

const unknownCaller: Caller = { tag: 'unknown' }

type Made = {
  wasi: WasiInstance
  exports: Record<string, unknown>
  memories: readonly ShelvedMemory[]
  entries: readonly GuestEntry[]
}

/** One instance of a component. One call at a time; once ended it is never used again. */
export class CellInstance implements InstanceContext, Rostered, Pooled {
  readonly wasi: WasiInstance
  readonly exports: Record<string, unknown>
  /** What it runs in; to be handed on only when {@link settled}. */
  readonly memories: readonly ShelvedMemory[]
  /** No call is in progress, and none was given up: nothing of the guest can run any more. */
  settled = true
  place = -1
  uses = 0
  inUse = false
  readonly #entries: readonly GuestEntry[]
  #controller: AbortController | undefined
  #endReason: Error | undefined
  #rejectCall: ((reason: Error) => void) | undefined
  #deadlineMs = Number.POSITIVE_INFINITY
  #caller: Caller = unknownCaller

  constructor(make: (self: CellInstance) => Made) {
    const { wasi, exports, memories, entries } = make(this)
    this.wasi = wasi
    this.exports = exports
    this.memories = memories
    this.#entries = entries
  }

  /** Made for the first one who asks: an instance for each call is quicker to make without. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#endReason !== undefined) this.#controller.abort(this.#endReason)
    return this.#controller.signal
  }

  /** By when the call in progress is to be done, by `performance.now()`. */
  get deadlineMs(): number {
    return this.#deadlineMs
  }

  get caller(): Caller {
    return this.#caller
  }

  get ended(): boolean {
    return this.#endReason !== undefined
  }

  /**
   * Calls into the guest. Settles also when the guest's own promise never does (jco leaves it so when an import without a result
   * rejects): when the instance is ended.
   */
  call<T>(
    enter: () => T | Promise<T>,
    { deadlineMs, caller = unknownCaller }: { deadlineMs: number; caller?: Caller | undefined },
  ): Promise<T> {
    this.settled = false
    this.#deadlineMs = deadlineMs
    this.#caller = caller
    return new Promise<T>((resolve, reject) => {
      this.#rejectCall = reject
      const returned = (value: T): void => {
        this.settled = true
        this.#rejectCall = undefined
        resolve(value)
      }
      const result = enter()
      if (isPromise(result)) result.then(returned, reject)
      else returned(result)
    })
  }

  /** Ends the call in progress and everything it waits for. Idempotent. */
  end(reason: Error): void {
    if (!this.ended) {
      this.#endReason = reason
      this.#controller?.abort(reason)
      this.wasi.end(reason)
      for (const entry of this.#entries) entry.close()
    }
    this.#rejectCall?.(reason)
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === 'function'
}
