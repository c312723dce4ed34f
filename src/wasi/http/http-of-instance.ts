import type { InstanceState } from '../instance-state.ts'
import type { IoError } from '../io/io-error.ts'
import type { WasiOptions } from '../wasi.ts'
import { Fields } from './fields.ts'
import type { HttpErrorCode } from './http-error-code.ts'
import { type BodyRules, FutureTrailers, IncomingBody } from './incoming-body.ts'
import { IncomingRequest } from './incoming-request.ts'
import { OutgoingBody, type OutgoingBodyRules } from './outgoing-body.ts'
import { OutgoingResponse } from './outgoing-response.ts'
import { ResponseOutparam } from './response-outparam.ts'

/** Bounds of the HTTP messages of one component. */
export type HttpRules = {
  readonly incomingRequest: BodyRules
  readonly outgoingResponse: OutgoingBodyRules
}

export function httpRules({ maxBodyBytes }: Pick<WasiOptions, 'maxBodyBytes'>): HttpRules {
  return {
    incomingRequest: {
      maxBytes: maxBodyBytes,
      tooLarge: { tag: 'HTTP-request-body-size', val: BigInt(maxBodyBytes) },
      errorCode: () => ({ tag: 'connection-terminated' }),
    },
    outgoingResponse: {
      maxBytes: maxBodyBytes,
      sizeTag: 'HTTP-response-body-size',
      errorCode: () => ({ tag: 'connection-terminated' }),
    },
  }
}

const sharedTypes = {
  Fields,
  FutureTrailers,
  IncomingBody,
  IncomingRequest,
  OutgoingBody,
  ResponseOutparam,
  httpErrorCode: (error: IoError): HttpErrorCode | undefined => error.codes.http,
}

/**
 * The `wasi:http` imports of one instance. Guests construct outgoing messages themselves, and those must know their instance: a function
 * with the class's prototype does it, so that all instances share one class (and V8 one shape).
 */
export function httpOfInstance(instance: InstanceState, rules: HttpRules): Record<string, object> {
  return {
    'wasi:http/types': {
      ...sharedTypes,
      OutgoingResponse: constructorFor(
        OutgoingResponse,
        (headers: Fields) => new OutgoingResponse(instance, rules.outgoingResponse, headers),
      ),
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
