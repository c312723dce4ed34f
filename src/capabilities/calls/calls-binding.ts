import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import type { CallsCellConfig, EndedCall, ToCallee } from './call-messages.ts'
import type { IncomingCalls } from './incoming-calls.ts'
import type { OutgoingCalls } from './outgoing-calls.ts'

export type CallsBindingOptions = {
  readonly config: CallsCellConfig
  readonly outgoing: OutgoingCalls
  /** @param send to the cell; `undefined`: it offers nothing */
  readonly openIncoming: (send: (message: ToCallee) => void) => IncomingCalls | undefined
  readonly onRelease: () => void
}

/** One component's calls on the control thread, in both directions. */
export class CallsBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'calls-cell')
  readonly config: CallsCellConfig
  readonly #options: CallsBindingOptions
  readonly #incoming: IncomingCalls | undefined
  #send: ((message: unknown) => void) | undefined
  #released = false

  constructor(options: CallsBindingOptions) {
    this.config = options.config
    this.#options = options
    this.#incoming = options.openIncoming((message) => this.#send?.(message))
  }

  attach(send: (message: unknown) => void): void {
    this.#send = send
  }

  onCell(state: 'serving' | 'draining' | 'gone'): void {
    this.#incoming?.onCell(state)
  }

  async handle(method: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    if (method === 'call') return this.#options.outgoing.call(payload, signal)
    if (method === 'ended') {
      for (const each of payload as readonly EndedCall[]) this.#incoming?.ended(each)
      return undefined
    }
    throw new TypeError(`calls have no method ${JSON.stringify(method.slice(0, 40))}`)
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#incoming?.close()
    this.#options.onRelease()
  }
}
