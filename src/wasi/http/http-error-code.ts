/** `wasi:http/types#error-code`, in the form jco passes it. */
export type HttpErrorCode =
  | { readonly tag: PlainHttpErrorTag }
  | { readonly tag: 'DNS-error'; readonly val: { readonly rcode?: string; readonly infoCode?: number } }
  | { readonly tag: 'TLS-alert-received'; readonly val: { readonly alertId?: number; readonly alertMessage?: string } }
  | { readonly tag: 'HTTP-request-body-size' | 'HTTP-response-body-size'; readonly val: bigint | undefined }
  | {
      readonly tag: 'HTTP-request-header-section-size' | 'HTTP-response-header-section-size'
      readonly val: number | undefined
    }
  | {
      readonly tag: 'HTTP-request-trailer-section-size' | 'HTTP-response-trailer-section-size'
      readonly val: number | undefined
    }
  | { readonly tag: 'HTTP-request-header-size'; readonly val: FieldSize | undefined }
  | {
      readonly tag: 'HTTP-request-trailer-size' | 'HTTP-response-header-size' | 'HTTP-response-trailer-size'
      readonly val: FieldSize
    }
  | {
      readonly tag: 'HTTP-response-transfer-coding' | 'HTTP-response-content-coding' | 'internal-error'
      readonly val: string | undefined
    }

type FieldSize = { readonly fieldName?: string; readonly fieldSize?: number }

type PlainHttpErrorTag =
  | 'DNS-timeout'
  | 'destination-not-found'
  | 'destination-unavailable'
  | 'destination-IP-prohibited'
  | 'destination-IP-unroutable'
  | 'connection-refused'
  | 'connection-terminated'
  | 'connection-timeout'
  | 'connection-read-timeout'
  | 'connection-write-timeout'
  | 'connection-limit-reached'
  | 'TLS-protocol-error'
  | 'TLS-certificate-error'
  | 'HTTP-request-denied'
  | 'HTTP-request-length-required'
  | 'HTTP-request-method-invalid'
  | 'HTTP-request-URI-invalid'
  | 'HTTP-request-URI-too-long'
  | 'HTTP-response-incomplete'
  | 'HTTP-response-timeout'
  | 'HTTP-upgrade-failed'
  | 'HTTP-protocol-error'
  | 'loop-detected'
  | 'configuration-error'

/**
 * The status a client sees when a guest answers with an error code instead of a response: the guest's own trouble is 500, that
 * of a server behind it 502 or 504, the request's fault 4xx.
 */
export function statusOfErrorCode(code: HttpErrorCode): number {
  const { tag } = code
  switch (tag) {
    case 'HTTP-request-length-required':
      return 411
    case 'HTTP-request-body-size':
      return 413
    case 'HTTP-request-URI-too-long':
      return 414
    case 'HTTP-request-header-section-size':
    case 'HTTP-request-header-size':
    case 'HTTP-request-trailer-section-size':
    case 'HTTP-request-trailer-size':
      return 431
    case 'HTTP-request-method-invalid':
    case 'HTTP-request-URI-invalid':
      return 400
    case 'DNS-timeout':
    case 'connection-timeout':
    case 'connection-read-timeout':
    case 'connection-write-timeout':
    case 'HTTP-response-timeout':
      return 504
    case 'loop-detected':
      return 508
    case 'HTTP-request-denied':
    case 'configuration-error':
    case 'internal-error':
      return 500
    default:
      return 502
  }
}
