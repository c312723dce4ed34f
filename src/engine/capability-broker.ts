import type { CellBinding } from '../capabilities/capability.ts'
import { isHeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import { readTrace } from '../observability/trace-context.ts'
import type { Tracer } from '../observability/tracer.ts'
import type { FromCellMain, ToCellMain } from './cell-protocol.ts'

const maxPending = 4096

/** The control thread's end of one cell's capability bindings. */
export class CapabilityBroker {
  readonly #bindings: ReadonlyMap<string, readonly CellBinding[]>
  readonly #post: (message: ToCellMain) => void
  readonly #log: Log
  readonly #tracer: Tracer | undefined
  #pending = new Map<number, AbortController>()

  /** @param post sends to the cell's present thread, if it has one; `tracer` has spans of what a guest asks for belong to its call */
  constructor(
    bindings: ReadonlyMap<string, readonly CellBinding[]>,
    post: (message: ToCellMain) => void,
    { log, tracer }: { readonly log: Log; readonly tracer: Tracer | undefined },
  ) {
    this.#bindings = bindings
    this.#post = post
    this.#log = log
    this.#tracer = tracer
    for (const [component, ofComponent] of bindings) {
      for (const [index, binding] of ofComponent.entries()) {
        binding.attach((message) => post({ kind: 'capability-message', component, binding: index, message }))
      }
    }
  }

  async request(message: Extract<FromCellMain, { kind: 'capability-request' }>): Promise<void> {
    const { id, component, binding, method, payload } = message
    const pending = this.#pending
    const controller = new AbortController()
    try {
      const target = this.#bindings.get(component)?.[binding]
      if (target === undefined) throw new Error('no such capability')
      if (pending.size >= maxPending)
        throw Object.assign(new Error('too many requests'), { code: 'ERR_COMPONENT_BUSY' })
      pending.set(id, controller)
      const handle = () => target.handle(method, payload, { signal: controller.signal })
      const context = this.#tracer && message.trace && readTrace(message.trace)
      const value = await (context === undefined ? handle() : this.#tracer!.within(context, handle))
      if (pending.delete(id)) this.#post({ kind: 'capability-answer', id, value })
    } catch (error) {
      if (pending.has(id) ? !pending.delete(id) : controller.signal.aborted) return
      // A plain object of the capability's own ({ code, message }) is as good as an Error; nothing else of it crosses.
      const { code, message: text } = error as { code?: unknown; message?: unknown }
      this.#post({
        kind: 'capability-answer',
        id,
        error: {
          code: typeof code === 'string' ? code : 'ERR_INTERNAL',
          message: isHeraldError(error) || typeof text === 'string' ? String(text) : 'the capability failed',
        },
      })
    }
  }

  told({ component, binding, method, payload }: Extract<FromCellMain, { kind: 'capability-told' }>): void {
    try {
      const target = this.#bindings.get(component)?.[binding]
      if (target?.told === undefined) throw new Error('no such capability')
      target.told(method, payload)
    } catch (err) {
      this.#log.error({ event: 'capability.told_failed', component, err }, 'what a cell said was not understood')
    }
  }

  /** What the cell does; see `CellBinding.onCell`. */
  tell(state: 'serving' | 'draining' | 'gone'): void {
    for (const ofComponent of this.#bindings.values()) for (const binding of ofComponent) binding.onCell?.(state)
  }

  abort(id: number): void {
    const controller = this.#pending.get(id)
    this.#pending.delete(id)
    controller?.abort(new Error('the guest no longer waits'))
  }

  /** The cell's thread is gone: nobody waits any more. */
  abortAll(): void {
    const pending = this.#pending
    this.#pending = new Map()
    for (const controller of pending.values()) controller.abort(new Error('the cell ended'))
  }

  release(): void {
    this.abortAll()
    for (const ofComponent of this.#bindings.values()) for (const binding of ofComponent) binding.release()
  }
}
