export type CoreFunction = (...args: number[]) => unknown
/** JSPI, which TypeScript's library does not know yet. */
const jspi = WebAssembly as unknown as {
  promising(fn: CoreFunction): (...args: number[]) => Promise<unknown>
  Suspending: new (fn: () => unknown) => CoreFunction
}

/**
 * (module
 *   (import "e" "next" (func $next (result i32)))
 *   (import "e" "second" (func $second (result i32)))
 *   (import "e" "call" (func $call (param i32 i32)))
 *   (import "e" "done" (func $done))
 *   (func (export "loop") (local $first i32)
 *     (loop $again
 *       (br_if 1 (i32.lt_s (local.tee $first (call $next)) (i32.const 0)))
 *       (call $call (local.get $first) (call $second))
 *       (call $done)
 *       (br $again))))
 */
// biome-ignore format: one section a line
const loopBytes = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
  0x01, 0x0d, 0x03, 0x60, 0x00, 0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f, 0x00, 0x60, 0x00, 0x00,
  0x02, 0x27, 0x04, 0x01, 0x65, 0x04, 0x6e, 0x65, 0x78, 0x74, 0x00, 0x00, 0x01, 0x65, 0x06, 0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x00, 0x00,
  0x01, 0x65, 0x04, 0x63, 0x61, 0x6c, 0x6c, 0x00, 0x01, 0x01, 0x65, 0x04, 0x64, 0x6f, 0x6e, 0x65, 0x00, 0x02,
  0x03, 0x02, 0x01, 0x02,
  0x07, 0x08, 0x01, 0x04, 0x6c, 0x6f, 0x6f, 0x70, 0x00, 0x04,
  0x0a, 0x1c, 0x01, 0x1a, 0x01, 0x01, 0x7f, 0x03, 0x40, 0x10, 0x00, 0x22, 0x00, 0x41, 0x00, 0x48, 0x0d, 0x01,
  0x20, 0x00, 0x10, 0x01, 0x10, 0x02, 0x10, 0x03, 0x0c, 0x00, 0x0b, 0x0b,
])
const loopModule = new WebAssembly.Module(loopBytes)
/** What `next` gives to end the loop; handles are never negative. */
const stop = -1

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
  #second = 0
  #wake: ((first: number) => void) | undefined
  #settle: { resolve(): void; reject(reason: unknown): void } | undefined

  constructor(fn: CoreFunction) {
    this.#fn = fn
    this.#promised = jspi.promising(fn)
    // `wasi:http/incoming-handler#handle` has two parameters and no result, and so has what the loop calls.
    this.function = fn.length === 2 ? (first, second) => this.#call(first as number, second as number) : this.#promised
  }

  #call(first: number, second: number): Promise<unknown> {
    if (this.#loop === 'none' && this.#calls < 2) {
      // Many an instance serves one call only.
      if (++this.#calls < 2 || !this.#start()) return this.#promised(first, second)
    }
    if (this.#loop !== 'running') return this.#promised(first, second)
    return new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#second = second
      const wake = this.#wake
      this.#wake = undefined
      wake!(first)
    })
  }

  /** No more calls. What is suspended in the loop would never be collected. */
  close(): void {
    const wake = this.#wake
    this.#wake = undefined
    this.#loop = 'over'
    wake?.(stop)
  }

  /** @returns whether the function is one that the loop can call */
  #start(): boolean {
    let instance: WebAssembly.Instance
    try {
      instance = new WebAssembly.Instance(loopModule, {
        e: {
          next: new jspi.Suspending(
            () =>
              new Promise<number>((resolve) => {
                this.#wake = resolve
              }),
          ),
          second: () => this.#second,
          call: this.#fn,
          done: () => {
            const settle = this.#settle
            this.#settle = undefined
            settle?.resolve()
          },
        },
      })
    } catch (error) {
      if (error instanceof WebAssembly.LinkError) return false
      throw error
    }
    this.#loop = 'running'
    const loop = jspi.promising(instance.exports.loop as CoreFunction)
    loop().catch((reason) => {
      this.#loop = 'over'
      this.#settle?.reject(reason)
    })
    return true
  }
}
