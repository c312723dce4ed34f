import type { HttpExchange } from '../http-exchange.ts'
import type { InstanceState } from '../instance-state.ts'
import { Fields } from './fields.ts'
import { type BodyRules, IncomingBody, IncomingBodySource } from './incoming-body.ts'
import { type Method, methodFromText } from './method.ts'

const http = { tag: 'HTTP' } as const
const https = { tag: 'HTTPS' } as const

/** `wasi:http/types#incoming-request`. Everything is worked out when the guest asks for it. */
export class IncomingRequest {
  readonly #instance: InstanceState
  readonly #exchange: HttpExchange
  readonly #rules: BodyRules
  #body: IncomingBodySource | undefined

  constructor(instance: InstanceState, exchange: HttpExchange, rules: BodyRules) {
    this.#instance = instance
    this.#exchange = exchange
    this.#rules = rules
  }

  method(): Method {
    return methodFromText(this.#exchange.method)
  }

  pathWithQuery(): string | undefined {
    return this.#exchange.pathWithQuery
  }

  scheme(): { readonly tag: 'HTTP' | 'HTTPS' } {
    return this.#exchange.scheme === 'https' ? https : http
  }

  authority(): string | undefined {
    return this.#exchange.authority
  }

  headers(): Fields {
    return Fields.received(this.#exchange.headers)
  }

  /** Succeeds once. */
  consume(): IncomingBody {
    if (this.#body !== undefined) throw undefined
    this.#body = new IncomingBodySource(this.#exchange.body, this.#rules)
    return new IncomingBody(this.#instance, this.#body)
  }

  /** The exchange is over: whatever of the body is still to come is not wanted. */
  release(): void {
    if (this.#body !== undefined) this.#body.cancel()
    else this.#exchange.body?.cancel()
  }

  [Symbol.dispose](): void {}
}
