import { Refusal } from './refusal.js'

/** AWS's codes that mean: not with this identity, or not with these credentials. */
const refused = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'ExpiredToken',
  'ExpiredTokenException',
  'IDPRejectedClaim',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidIdentityToken',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
])

const statusByCode = {
  IDPCommunicationError: 502,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  ResourceNotFoundException: 404,
  ThrottlingException: 429,
  ValidationException: 400,
}

/**
 * Translates what the SDK threw. The relying party's code and message are passed on, less anything that looks like a token or is
 * one of `secrets`, should the relying party have put it there.
 *
 * @param {any} error
 * @param {'exchange' | 'bedrock' | 's3'} step
 * @param {string[]} secrets
 */
export function fromAwsError(error, step, secrets) {
  const upstreamStatus = error?.$metadata?.httpStatusCode
  if (upstreamStatus === undefined) {
    return new Refusal(
      502,
      'not-reachable',
      'the service could not be reached (do allowedHosts name it?) or did not answer as AWS does',
      step,
    )
  }
  const code = error.Code ?? error.Error?.Code ?? error.name ?? 'UnknownError'
  return new Refusal(statusOf(code, upstreamStatus, step), code, redact(`${error.message}`, secrets), step)
}

function statusOf(code, upstreamStatus, step) {
  if (refused.has(code)) return 403
  if (Object.hasOwn(statusByCode, code)) return statusByCode[code]
  if (upstreamStatus >= 500) return 502
  // Whatever else STS objects to, it is this component that did not get in.
  return step === 'exchange' ? 403 : upstreamStatus
}

function redact(message, secrets) {
  let text = message
  for (const secret of secrets) text = text.replaceAll(secret, '[redacted]')
  return text.replace(/eyJ[\w-]+\.[\w-]+(\.[\w-]*)?/g, '[redacted]').slice(0, 1000)
}
