import type { InstanceState } from '../instance-state.ts'
import type { Fields } from './fields.ts'
import { OutgoingBody, type OutgoingBodyRules, OutgoingBodySink } from './outgoing-body.ts'

/** `wasi:http/types#outgoing-response`. */
export class OutgoingResponse {
  readonly #instance: InstanceState
  readonly #rules: OutgoingBodyRules
  readonly fields: Fields
  status = 200
  /** Set once the guest has asked for the body. */
  sink: OutgoingBodySink | undefined
  #sent = false

  constructor(instance: InstanceState, rules: OutgoingBodyRules, headers: Fields) {
    this.#instance = instance
    this.#rules = rules
    this.fields = headers.freeze()
  }

  statusCode(): number {
    return this.status
  }

  /** Fails for what is no status of a final response (RFC 9110 §15): informational ones are not sent this way. */
  setStatusCode(status: number): void {
    if (status < 200 || status > 999) throw undefined
    this.status = status
  }

  headers(): Fields {
    return this.fields.view()
  }

  /** Succeeds once. */
  body(): OutgoingBody {
    if (this.sink !== undefined) throw undefined
    const length = this.fields.contentLength()
    this.sink = new OutgoingBodySink(length === 'invalid' ? undefined : length, this.#rules)
    return new OutgoingBody(this.#instance, this.sink)
  }

  /** It has been given to the response-outparam. */
  markSent(): void {
    this.#sent = true
  }

  [Symbol.dispose](): void {
    if (!this.#sent) this.sink?.abandon('the guest dropped the response without sending it')
  }
}
