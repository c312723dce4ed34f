import type { InstanceState } from '../instance-state.ts'
import { isToken } from './field-rules.ts'
import type { Fields } from './fields.ts'
import { type Method, methodToText } from './method.ts'
import { OutgoingBody, type OutgoingBodyRules, OutgoingBodySink } from './outgoing-body.ts'

export type Scheme = { readonly tag: 'HTTP' | 'HTTPS' } | { readonly tag: 'other'; readonly val: string }

const get: Method = { tag: 'get' }
const maxTargetLength = 32 * 1024

/** `wasi:http/types#outgoing-request`. Setters refuse what could not be part of a request line. */
export class OutgoingRequest {
  readonly #instance: InstanceState
  readonly #rules: OutgoingBodyRules
  readonly fields: Fields
  #method: Method = get
  #path: string | undefined
  #scheme: Scheme | undefined
  #authority: string | undefined
  /** Set once the guest has asked for the body. */
  sink: OutgoingBodySink | undefined
  #sent = false

  constructor(instance: InstanceState, rules: OutgoingBodyRules, headers: Fields) {
    this.#instance = instance
    this.#rules = rules
    this.fields = headers.freeze()
  }

  /** Succeeds once. */
  body(): OutgoingBody {
    if (this.sink !== undefined) throw undefined
    const length = this.fields.contentLength()
    this.sink = new OutgoingBodySink(length === 'invalid' ? undefined : length, this.#rules)
    return new OutgoingBody(this.#instance, this.sink)
  }

  method(): Method {
    return this.#method
  }

  setMethod(method: Method): void {
    if (!isToken(methodToText(method))) throw undefined
    this.#method = method
  }

  pathWithQuery(): string | undefined {
    return this.#path
  }

  setPathWithQuery(path: string | undefined): void {
    if (path !== undefined && !isRequestTarget(path)) throw undefined
    this.#path = path
  }

  scheme(): Scheme | undefined {
    return this.#scheme
  }

  setScheme(scheme: Scheme | undefined): void {
    if (scheme?.tag === 'other' && !/^[A-Za-z][A-Za-z0-9+.-]*$/.test(scheme.val)) throw undefined
    this.#scheme = scheme
  }

  authority(): string | undefined {
    return this.#authority
  }

  setAuthority(authority: string | undefined): void {
    if (authority !== undefined && !/^[A-Za-z0-9\-._~%!$&'()*+,;=:@[\]]{1,512}$/.test(authority)) throw undefined
    this.#authority = authority
  }

  headers(): Fields {
    return this.fields.view()
  }

  /** It has been given to the outgoing handler. */
  markSent(): void {
    this.#sent = true
  }

  [Symbol.dispose](): void {
    if (!this.#sent) this.sink?.abandon('the guest dropped the request without sending it')
  }
}

/** Origin form, with the leading slash optional before a query, or `*`; visible ASCII without fragment. */
function isRequestTarget(path: string): boolean {
  return path.length <= maxTargetLength && /^(?:\*|[/?][\x21\x22\x24-\x7e]*|)$/.test(path)
}
