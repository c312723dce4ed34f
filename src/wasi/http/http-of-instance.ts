import type { InstanceState } from '../instance-state.ts'
import type { IoError } from '../io/io-error.ts'
import { Fields } from './fields.ts'
import type { HttpClient } from './http-client.ts'
import type { HttpErrorCode } from './http-error-code.ts'
import { httpErrorCodeOf } from './http-failure.ts'
import { type BodyRules, FutureTrailers, IncomingBody } from './incoming-body.ts'
import { IncomingRequest } from './incoming-request.ts'
import { OutgoingBody, type OutgoingBodyRules } from './outgoing-body.ts'
import { FutureIncomingResponse, handleOutgoing, IncomingResponse } from './outgoing-handler.ts'
import { OutgoingRequest } from './outgoing-request.ts'
import { OutgoingResponse } from './outgoing-response.ts'
import { RequestOptions } from './request-options.ts'
import { ResponseOutparam } from './response-outparam.ts'

/** Bounds of the HTTP messages of one component. */
export type HttpRules = {
  readonly incomingRequest: BodyRules
  readonly outgoingResponse: OutgoingBodyRules
  readonly outgoingRequest: OutgoingBodyRules
  readonly incomingResponse: BodyRules
}

export function httpRules(maxBytes: number): HttpRules {
  const clientGone = (): HttpErrorCode => ({ tag: 'connection-terminated' })
  return {
    incomingRequest: {
      maxBytes,
      tooLarge: { tag: 'HTTP-request-body-size', val: BigInt(maxBytes) },
      errorCode: clientGone,
    },
    outgoingResponse: { maxBytes, sizeTag: 'HTTP-response-body-size', errorCode: clientGone },
    outgoingRequest: { maxBytes, sizeTag: 'HTTP-request-body-size', errorCode: httpErrorCodeOf },
    incomingResponse: {
      maxBytes,
      tooLarge: { tag: 'HTTP-response-body-size', val: BigInt(maxBytes) },
      errorCode: httpErrorCodeOf,
    },
  }
}

const sharedTypes = {
  Fields,
  FutureIncomingResponse,
  FutureTrailers,
  IncomingBody,
  IncomingRequest,
  IncomingResponse,
  OutgoingBody,
  RequestOptions,
  ResponseOutparam,
  httpErrorCode: (error: IoError): HttpErrorCode | undefined => error.codes.http,
}

/**
 * The `wasi:http` imports of one instance. Guests construct outgoing messages themselves, and those must know their instance: a function
 * with the class's prototype does it, so that all instances share one class (and V8 one shape).
 */
export function httpOfInstance(instance: InstanceState, rules: HttpRules, client: HttpClient): Record<string, object> {
  return {
    'wasi:http/types': {
      ...sharedTypes,
      OutgoingRequest: constructorFor(
        OutgoingRequest,
        (headers: Fields) => new OutgoingRequest(instance, rules.outgoingRequest, headers),
      ),
      OutgoingResponse: constructorFor(
        OutgoingResponse,
        (headers: Fields) => new OutgoingResponse(instance, rules.outgoingResponse, headers),
      ),
    },
    'wasi:http/outgoing-handler': {
      handle: (request: OutgoingRequest, options: RequestOptions | undefined) =>
        handleOutgoing(instance, client, rules.incomingResponse, request, options),
    },
  }
}

function constructorFor<A>(shared: { readonly prototype: object }, make: (argument: A) => object): object {
  // Called with `new`, a function that returns an object gives that object.
  function construct(argument: A): object {
    return make(argument)
  }
  construct.prototype = shared.prototype
  return construct
}
