import type { HttpErrorCode } from './http-error-code.ts'

const byCode: Readonly<Record<string, HttpErrorCode>> = {
  ECONNREFUSED: { tag: 'connection-refused' },
  ECONNRESET: { tag: 'connection-terminated' },
  ECONNABORTED: { tag: 'connection-terminated' },
  EPIPE: { tag: 'connection-terminated' },
  ETIMEDOUT: { tag: 'connection-timeout' },
  EHOSTUNREACH: { tag: 'destination-IP-unroutable' },
  ENETUNREACH: { tag: 'destination-IP-unroutable' },
  EADDRNOTAVAIL: { tag: 'destination-unavailable' },
  EHOSTDOWN: { tag: 'destination-unavailable' },
  EMFILE: { tag: 'connection-limit-reached' },
  ENFILE: { tag: 'connection-limit-reached' },
  ENOTFOUND: { tag: 'DNS-error', val: { rcode: 'NXDOMAIN' } },
  ENODATA: { tag: 'DNS-error', val: { rcode: 'NODATA' } },
  EAI_AGAIN: { tag: 'DNS-error', val: { rcode: 'SERVFAIL' } },
  ERR_ADDRESS_REFUSED: { tag: 'HTTP-request-denied' },
  ERR_TLS_CERT_ALTNAME_INVALID: { tag: 'TLS-certificate-error' },
  HPE_HEADER_OVERFLOW: { tag: 'HTTP-response-header-section-size', val: undefined },
}

/** OpenSSL's names for a certificate that is not accepted. */
const certificateCodes =
  /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_(?:CA|PURPOSE)|PATH_LENGTH_|ERROR_IN_CERT_|CRL_)/

/** A failure that already knows its error code. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure'
  readonly errorCode: HttpErrorCode

  constructor(errorCode: HttpErrorCode) {
    super(errorCode.tag)
    this.errorCode = errorCode
  }
}

/** What an error of node:http, node:net, node:tls or the resolver is called in `wasi:http`. No text of it reaches the guest. */
export function httpErrorCodeOf(error: unknown): HttpErrorCode {
  if (error instanceof HttpFailure) return error.errorCode
  const code = codeOf(error)
  if (code === undefined) return { tag: 'internal-error', val: undefined }
  const known = byCode[code]
  if (known !== undefined) return known
  if (code.startsWith('HPE_')) return { tag: 'HTTP-protocol-error' }
  if (certificateCodes.test(code)) return { tag: 'TLS-certificate-error' }
  if (/^ERR_SSL_.*_ALERT_/.test(code)) return { tag: 'TLS-alert-received', val: {} }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) {
    return { tag: 'TLS-protocol-error' }
  }
  return { tag: 'internal-error', val: undefined }
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string') return error.code
  return error instanceof AggregateError ? codeOf(error.errors[0]) : undefined
}
