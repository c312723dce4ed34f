import type { HttpExchange } from '../http-exchange.ts'
import type { Fields } from './fields.ts'
import { type HttpErrorCode, statusOfErrorCode } from './http-error-code.ts'
import type { OutgoingBodySink } from './outgoing-body.ts'
import type { OutgoingResponse } from './outgoing-response.ts'

const plainText = [['content-type', 'text/plain; charset=utf-8']] as const

/** `wasi:http/types#response-outparam`: takes the guest's one answer. */
export class ResponseOutparam {
  readonly #exchange: HttpExchange
  readonly #settled: (error: Error | undefined) => void
  #answered = false
  #body: OutgoingBodySink | undefined

  /** @param settled called once: the response is out whole, or why it is not */
  constructor(exchange: HttpExchange, settled: (error: Error | undefined) => void) {
    this.#exchange = exchange
    this.#settled = settled
  }

  static set(
    param: ResponseOutparam,
    response:
      | { readonly tag: 'ok'; readonly val: OutgoingResponse }
      | { readonly tag: 'err'; readonly val: HttpErrorCode },
  ): void {
    if (response.tag === 'ok') param.#answer(response.val)
    else param.#answerError(response.val)
  }

  /** Unstable in WASI 0.2 (`informational-outbound-responses`); an exchange cannot carry a 1xx head. */
  sendInformational(_status: number, _headers: Fields): void {
    const refusal: HttpErrorCode = { tag: 'internal-error', val: 'informational responses are not supported' }
    throw refusal
  }

  /** The guest's handler has returned: what it has not answered or finished by now never will be. */
  release(): void {
    if (!this.#answered) {
      this.#answered = true
      this.#settled(new Error('the guest ended without answering'))
    }
    this.#body?.abandon('the guest ended without finishing its response')
  }

  #answer(response: OutgoingResponse): void {
    // The handle is consumed by `set`, so a second answer can only come from a defect in the glue.
    if (this.#answered) throw new Error('wasi:http/types#response-outparam: set twice')
    const length = response.fields.contentLength()
    if (length === 'invalid') {
      response.sink?.abandon('the response has an invalid content-length')
      this.#answerError({ tag: 'internal-error', val: 'the response has an invalid content-length' })
      return
    }
    this.#answered = true
    response.markSent()
    const { status, sink } = response
    const bodyless = this.#exchange.method === 'HEAD' || status === 204 || status === 304
    try {
      const target = this.#exchange.respond(status, response.fields.pairs())
      if (sink !== undefined) {
        this.#body = sink
        sink.attach(target, bodyless, this.#settled)
      } else if (length === undefined || length === 0 || bodyless) {
        target.end()
        this.#settled(undefined)
      } else {
        const error = new Error(`the guest announced ${length} bytes and sent no body`)
        target.abort(error)
        this.#settled(error)
      }
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error('the response could not be sent', { cause })
      sink?.abandon('the client is gone')
      this.#settled(error)
    }
  }

  #answerError(code: HttpErrorCode): void {
    if (this.#answered) throw new Error('wasi:http/types#response-outparam: set twice')
    this.#answered = true
    const status = statusOfErrorCode(code)
    try {
      const target = this.#exchange.respond(status, plainText)
      if (this.#exchange.method !== 'HEAD') target.write(Buffer.from(`${code.tag}\n`))
      target.end()
      this.#settled(undefined)
    } catch (cause) {
      this.#settled(cause instanceof Error ? cause : new Error('the response could not be sent', { cause }))
    }
  }

  [Symbol.dispose](): void {
    if (this.#answered) return
    this.#answered = true
    this.#settled(new Error('the guest dropped the response-outparam without answering'))
  }
}
