import type { ErrorCode } from '../errors/error-codes.ts'
import { type HeraldError, isHeraldError } from '../errors/herald-error.ts'

const denials: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_SPIRE_NO_IDENTITY_ISSUED',
  'ERR_SPIRE_HOST_UNREGISTERED',
  'ERR_SPIRE_DELEGATE_UNAUTHORIZED',
  'ERR_SVID_AMBIGUOUS',
  'ERR_SVID_SPIFFE_ID_NOT_ISSUED',
])

const absences: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_SPIRE_UNREACHABLE',
  'ERR_SPIRE_ATTESTATION_FAILED',
  'ERR_SVID_TIMEOUT',
  'ERR_SVID_SOURCE_CLOSED',
])

/** Whether the authority says no: then what is held is no longer to be used. */
export function isDenial(error: unknown): error is HeraldError {
  return isHeraldError(error) && denials.has(error.code)
}

/** Whether the authority says nothing: then what is held goes on being used, and asking again may help. */
export function isAbsence(error: unknown): error is HeraldError {
  return isHeraldError(error) && absences.has(error.code)
}
