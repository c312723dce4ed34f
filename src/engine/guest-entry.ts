import { entryLoop } from './entry-loop.ts'

export type CoreFunction = (...args: number[]) => unknown
/** JSPI, which TypeScript's library does not know yet. */
const jspi = WebAssembly as unknown as {
  promising(fn: CoreFunction): (...args: number[]) => Promise<unknown>
  Suspending: new (fn: () => unknown) => CoreFunction
}

/** What `next` gives to end the loop, and to go on. */
const stop = -1
const again = 0

/**
 * Calls of a guest's function that may suspend: all on one stack. `WebAssembly.promising` makes a stack for every call, and V8 keeps the
 * books of it in the old generation, where they hold whatever the call has left behind until the next full collection: more than a third of a
 * small request's time. So from the second call on, a loop around the function runs in a stack of its own and suspends between the calls.
 *
 * One call at a time. A call that throws ends the loop and the guest with it.
 */
export class GuestEntry {
  /** Enters the guest. */
  readonly function: CoreFunction
  readonly #fn: CoreFunction
  readonly #promised: (...args: number[]) => Promise<unknown>
  #calls = 0
  #loop: 'none' | 'running' | 'over' = 'none'
  #arguments: readonly number[] = []
  #wake: ((word: number) => void) | undefined
  #settle: { resolve(result: unknown): void; reject(reason: unknown): void } | undefined

  constructor(fn: CoreFunction) {
    this.#fn = fn
    this.#promised = jspi.promising(fn)
    this.function = (...args) => this.#call(args)
  }

  #call(args: readonly number[]): Promise<unknown> {
    if (this.#loop === 'none' && this.#calls < 2) {
      // Many an instance serves one call only.
      if (++this.#calls < 2 || !this.#start()) return this.#promised(...args)
    }
    if (this.#loop !== 'running') return this.#promised(...args)
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#arguments = args
      const wake = this.#wake
      this.#wake = undefined
      wake!(again)
    })
  }

  /** No more calls. What is suspended in the loop would never be collected. */
  close(): void {
    const wake = this.#wake
    this.#wake = undefined
    this.#loop = 'over'
    wake?.(stop)
  }

  /** @returns whether the function is one that a loop can call: of i32 alone */
  #start(): boolean {
    const instance = this.#instantiate(false) ?? this.#instantiate(true)
    if (instance === undefined) return false
    this.#loop = 'running'
    const loop = jspi.promising(instance.exports.loop as CoreFunction)
    loop().catch((reason) => {
      this.#loop = 'over'
      this.#settle?.reject(reason)
    })
    return true
  }

  #instantiate(hasResult: boolean): WebAssembly.Instance | undefined {
    const module = entryLoop(this.#fn.length, hasResult)
    if (module === undefined) return undefined
    const next = (): Promise<number> =>
      new Promise((resolve) => {
        this.#wake = resolve
      })
    const done = (result: unknown): void => {
      const settle = this.#settle
      this.#settle = undefined
      settle?.resolve(result)
    }
    const argument = (index: number): number => this.#arguments[index]!
    try {
      const e = { next: new jspi.Suspending(next), argument, call: this.#fn, done }
      return new WebAssembly.Instance(module, { e })
    } catch (error) {
      if (error instanceof WebAssembly.LinkError) return undefined
      throw error
    }
  }
}
