import { Credentials } from '../credentials.ts'
import type { ExchangeContext } from '../exchange.ts'
import { unusable } from './federation-errors.ts'

/** An object of JSON, or undefined. */
export function parseJsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** `error` and `error_description` of RFC 6749 §5.2, empty where absent or no text. */
export function oauthError(text: string): { code: string; description: string } {
  const answer = parseJsonObject(text) ?? {}
  const word = (value: unknown) => (typeof value === 'string' ? value : '')
  return { code: word(answer.error), description: word(answer.error_description) }
}

/**
 * A successful answer of a token endpoint: RFC 6749 §5.1, RFC 8693 §2.2.1. Without `expires_in` the token is kept for a minute.
 * @throws ERR_FEDERATION_ANSWER_INVALID
 */
export function readBearer(party: string, text: string, { clock }: ExchangeContext): Credentials {
  const answer = parseJsonObject(text)
  if (answer === undefined) throw unusable(party, 'it is not a JSON object')
  const { access_token: token, token_type: type, expires_in: expiresIn = 60 } = answer
  if (!isBearerToken(token)) throw unusable(party, 'it has no usable access_token')
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') throw unusable(party, 'its token_type is not Bearer')
  const seconds = typeof expiresIn === 'string' && /^\d{1,9}$/.test(expiresIn) ? Number(expiresIn) : expiresIn
  if (typeof seconds !== 'number' || !(seconds > 0) || seconds > 7 * 86_400) {
    throw unusable(party, 'its expires_in is not a sensible number of seconds')
  }
  return new Credentials({ kind: 'bearer', token }, new Date(clock.nowMs() + seconds * 1000))
}

/** RFC 6750 §2.1: what may stand in an Authorization header. */
export function isBearerToken(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9._~+/-]{1,65536}=*$/.test(value)
}
