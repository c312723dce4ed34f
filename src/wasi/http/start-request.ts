import type { HttpExchange } from '../http-exchange.ts'
import type { InstanceState } from '../instance-state.ts'
import type { RequestHandle } from '../wasi.ts'
import type { HttpRules } from './http-of-instance.ts'
import { IncomingRequest } from './incoming-request.ts'
import { ResponseOutparam } from './response-outparam.ts'

/** The arguments of `wasi:http/incoming-handler#handle` for `exchange`. */
export function startRequest(instance: InstanceState, rules: HttpRules, exchange: HttpExchange): RequestHandle {
  instance.incoming = exchange
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const request = new IncomingRequest(instance, exchange, rules.incomingRequest)
  const responseOut = new ResponseOutparam(exchange, (error) => {
    if (error === undefined) {
      resolve()
      return
    }
    // Whoever started the request may no longer listen, and that must not end the process.
    promise.catch(() => {})
    reject(error)
  })
  return {
    request,
    responseOut,
    finished: promise,
    handlerReturned() {
      responseOut.release()
      request.release()
    },
  }
}
