import type { InstanceContext } from '../capabilities/capability.ts'
import { type CarriedTrace, type TraceSource, traceOfFields } from '../observability/trace-context.ts'
import type { HttpExchange } from './http-exchange.ts'
import type { Waitable } from './io/waitable.ts'
import { Roster, type Rostered } from './roster.ts'

/**
 * A guest that always finds its waits satisfied would never let the event loop run, and whatever it polls for could not
 * arrive. So every so many immediate returns in a row one yields to the event loop.
 */
const immediateReturnsBeforeYield = 128

/** Most files, directory streams, sockets and outgoing requests that one instance may have open at a time. */
export const maxOpenPerInstance = 1_024

/** Files, sockets, outgoing requests: closed with the instance at the latest. */
export interface Closable {
  /** Idempotent, never throws. */
  close(): void
}

type Wait = Rostered & { readonly end: (reason: Error) => void }

/**
 * What belongs to one instance of a component: its pending waits and everything it has open. Ends when the context's signal
 * is aborted or on `end`; then every pending and later wait is rejected and every open resource closed.
 */
export class InstanceState {
  /** The request that it answers, or answered last; `undefined` when that is a call of another kind. */
  incoming: HttpExchange | undefined
  /** Of such a call. */
  within: TraceSource | undefined
  readonly #waits = new Roster<Wait>()
  readonly #open = new Set<Closable>()
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = (): void => this.end(toError(this.#signal?.reason))
  #immediateReturns = 0
  #endReason: Error | undefined

  /** @param context without a signal: ends by {@link end} alone */
  constructor(context: Partial<InstanceContext>) {
    this.#signal = context.signal
    if (this.#signal?.aborted) this.#onAbort()
    else this.#signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get ended(): boolean {
    return this.#endReason !== undefined
  }

  /** Of what it answers, as it came: to be parsed. */
  get trace(): CarriedTrace | undefined {
    return this.incoming === undefined ? this.within?.trace : traceOfFields(this.incoming.headers)
  }

  /** How many files, sockets and the like are open. */
  get openCount(): number {
    return this.#open.size
  }

  /** @throws the reason once the instance has ended. */
  throwIfEnded(): void {
    if (this.#endReason !== undefined) throw this.#endReason
  }

  /**
   * Closes `resource` with the instance, at once when it has ended already.
   * @throws Error (a trap) when the instance has {@link maxOpenPerInstance} open; where the interface has an error code for that, its
   * functions ask `openCount` before.
   */
  adopt(resource: Closable): void {
    if (this.#endReason !== undefined) {
      resource.close()
      throw this.#endReason
    }
    if (this.#open.size >= maxOpenPerInstance) {
      resource.close()
      throw Object.assign(
        new Error(`the guest has ${maxOpenPerInstance} files, streams and sockets open, and may have no more`),
        { code: 'ERR_COMPONENT_HANDLES' },
      )
    }
    this.#open.add(resource)
  }

  release(resource: Closable): void {
    this.#open.delete(resource)
  }

  /** Resolves once `waitable` is ready. @throws the end's reason. Always settles by the instance's end. */
  waitFor(waitable: Waitable): Promise<void> {
    return this.waitForAny([waitable])
  }

  waitForAny(waitables: readonly Waitable[]): Promise<void> {
    this.throwIfEnded()
    this.#immediateReturns = 0
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#waits.leave(wait)
        for (const waitable of waitables) waitable.unlisten(check)
      }
      const check = (): void => {
        for (const waitable of waitables) {
          if (!waitable.ready()) continue
          stop()
          resolve()
          return
        }
      }
      const end = (reason: Error): void => {
        stop()
        reject(reason)
      }
      const wait = { place: -1, end }
      this.#waits.join(wait)
      for (const waitable of waitables) waitable.listen(check)
    })
  }

  /**
   * To be called by a waiting function that has its result at once: `undefined` means return it, a promise means that the event
   * loop is due a turn first.
   */
  breathe(): Promise<void> | undefined {
    this.throwIfEnded()
    if (++this.#immediateReturns < immediateReturnsBeforeYield) return undefined
    this.#immediateReturns = 0
    return new Promise((resolve, reject) => {
      const turn = setImmediate(() => {
        this.#waits.leave(wait)
        resolve()
      })
      const end = (reason: Error): void => {
        this.#waits.leave(wait)
        clearImmediate(turn)
        reject(reason)
      }
      const wait = { place: -1, end }
      this.#waits.join(wait)
    })
  }

  /** Idempotent. */
  end(reason: Error): void {
    if (this.#endReason !== undefined) return
    this.#endReason = reason
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const { end } of this.#waits.all()) end(reason)
    for (const resource of [...this.#open]) resource.close()
    this.#open.clear()
  }
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('the instance was ended', { cause: reason })
}
