import type { CallGuestOptions, CellChannel } from '../capabilities/capability.ts'
import type { CarriedTrace } from '../observability/trace-context.ts'
import type { FromCellMain, WireError } from './cell-protocol.ts'

const maxPending = 4096

/** Enters the guest of a component; see `CellChannel.callGuest`. */
export type CallGuest = (
  component: string,
  name: string,
  fn: string,
  args: readonly unknown[],
  options?: CallGuestOptions,
) => Promise<unknown>

type Pending = { resolve(value: unknown): void; reject(error: unknown): void }

/** The cell's end of all its capability bindings: requests to the control thread, with bounded numbers in flight. */
export class CapabilityLinks {
  readonly #post: (message: FromCellMain) => void
  readonly #callGuest: CallGuest
  readonly #pending = new Map<number, Pending>()
  readonly #listeners = new Map<string, ((message: unknown) => void)[]>()
  /** Messages that came before the capability listened. */
  readonly #early = new Map<string, unknown[]>()
  #nextId = 1

  constructor(post: (message: FromCellMain) => void, callGuest: CallGuest) {
    this.#post = post
    this.#callGuest = callGuest
  }

  channel(component: string, binding: number): CellChannel {
    const key = `${binding} ${component}`
    return {
      request: (method, payload, options) => this.#request(component, binding, method, payload, options),
      onMessage: (listener) => {
        const listeners = this.#listeners.get(key)
        if (listeners) listeners.push(listener)
        else this.#listeners.set(key, [listener])
        for (const message of this.#early.get(key) ?? []) listener(message)
        this.#early.delete(key)
      },
      tell: (method, payload) => this.#post({ kind: 'capability-told', component, binding, method, payload }),
      callGuest: (name, fn, args, options) => this.#callGuest(component, name, fn, args, options),
    }
  }

  answer(id: number, value: unknown, error: WireError | undefined): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#pending.delete(id)
    if (error === undefined) pending.resolve(value)
    else pending.reject(Object.assign(new Error(error.message), { code: error.code }))
  }

  deliver(component: string, binding: number, message: unknown): void {
    const key = `${binding} ${component}`
    const listeners = this.#listeners.get(key)
    if (listeners) for (const listener of listeners) listener(message)
    else {
      const early = this.#early.get(key)
      if (early) early.push(message)
      else this.#early.set(key, [message])
    }
  }

  async #request(
    component: string,
    binding: number,
    method: string,
    payload: unknown,
    { signal, trace }: { signal: AbortSignal; trace?: CarriedTrace | undefined },
  ): Promise<unknown> {
    signal.throwIfAborted()
    if (this.#pending.size >= maxPending) {
      throw Object.assign(new Error('too many capability requests are in progress'), { code: 'ERR_COMPONENT_BUSY' })
    }
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#pending.set(id, { resolve, reject })
    const onAbort = () => {
      if (!this.#pending.delete(id)) return
      this.#post({ kind: 'capability-abort', id })
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const request = { kind: 'capability-request', id, component, binding, method, payload } as const
      this.#post(trace === undefined ? request : { ...request, trace })
      return await promise
    } finally {
      this.#pending.delete(id)
      signal.removeEventListener('abort', onAbort)
    }
  }
}
