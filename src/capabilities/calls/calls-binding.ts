import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { packBodies, unpackBodies } from '../packed-bodies.ts'
import type { CallsCellConfig, FromCell, OutgoingCall, ToCell } from './call-messages.ts'
import type { CallTally } from './calls-audit.ts'
import type { IncomingCalls, IncomingCallsOptions } from './incoming-calls.ts'
import type { OutgoingCalls } from './outgoing-calls.ts'

export type CallsBindingOptions = {
  readonly config: CallsCellConfig
  readonly outgoing: OutgoingCalls
  readonly tally: CallTally
  /** `undefined`: it offers nothing. */
  readonly openIncoming: (cell: Pick<IncomingCallsOptions, 'enter' | 'cancel'>) => IncomingCalls | undefined
  readonly onRelease: () => void
}

/** One component's calls on the control thread, in both directions. */
export class CallsBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'calls-cell')
  readonly config: CallsCellConfig
  readonly #options: CallsBindingOptions
  readonly #incoming: IncomingCalls | undefined
  readonly #calling = new Map<number, AbortController>()
  #send: ((message: unknown) => void) | undefined
  #answers: ToCell['answers'][number][] = []
  #returned: Uint8Array[] = []
  #calls: ToCell['calls'][number][] = []
  #args: Uint8Array[] = []
  #cancelled: number[] = []
  #scheduled = false
  #released = false

  constructor(options: CallsBindingOptions) {
    this.config = options.config
    this.#options = options
    this.#incoming = options.openIncoming({
      enter: ({ args, ...call }) => {
        this.#calls.push(call)
        this.#args.push(args)
        this.#soon()
      },
      cancel: (id) => {
        this.#cancelled.push(id)
        this.#soon()
      },
    })
  }

  attach(send: (message: unknown) => void): void {
    this.#send = send
  }

  onCell(state: 'serving' | 'draining' | 'gone'): void {
    this.#incoming?.onCell(state)
    if (state !== 'gone') return
    for (const controller of this.#calling.values()) controller.abort(new Error('the cell ended'))
    this.#calling.clear()
    this.#takeAll()
  }

  async handle(method: string): Promise<never> {
    throw unknownMethod(method)
  }

  told(method: string, payload: unknown): void {
    if (method !== 'flow') throw unknownMethod(method)
    const { calls, cancelled, ended, bodies } = payload as FromCell
    const body = unpackBodies(bodies).values()
    for (const call of calls) void this.#call({ ...call, args: body.next().value! })
    for (const each of ended)
      this.#incoming?.ended(each.refusal === undefined ? { id: each.id, bytes: body.next().value! } : each)
    for (const id of cancelled) {
      this.#calling.get(id)?.abort(new Error('the guest no longer waits'))
      this.#calling.delete(id)
    }
  }

  /** Never rejects. */
  async #call(call: OutgoingCall): Promise<void> {
    const { id } = call
    const controller = new AbortController()
    this.#calling.set(id, controller)
    try {
      const outcome = await this.#options.outgoing.call(call, controller.signal)
      if (this.#calling.get(id) !== controller) return
      this.#calling.delete(id)
      if (outcome.kind === 'returned') {
        this.#answers.push({ id, kind: 'returned' })
        this.#returned.push(outcome.bytes)
      } else this.#answers.push({ id, ...outcome })
      this.#soon()
    } catch {
      // Nobody waits any more.
      if (this.#calling.get(id) === controller) this.#calling.delete(id)
    }
  }

  #soon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#send?.(this.#takeAll())
    })
  }

  #takeAll(): ToCell {
    const bodies = packBodies(this.#args.concat(this.#returned))
    const message: ToCell = { answers: this.#answers, calls: this.#calls, cancelled: this.#cancelled, bodies }
    this.#answers = []
    this.#returned = []
    this.#calls = []
    this.#args = []
    this.#cancelled = []
    return message
  }

  gather(): void {
    this.#options.tally.gather()
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#incoming?.close()
    this.gather()
    for (const controller of this.#calling.values()) controller.abort(new Error('the component is gone'))
    this.#options.onRelease()
  }
}

function unknownMethod(method: string): TypeError {
  return new TypeError(`calls have no method ${JSON.stringify(method.slice(0, 40))}`)
}
