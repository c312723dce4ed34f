import { HeraldError } from '../errors/herald-error.ts'
import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts'

/** JWT-SVID §2.1. `none` and the HMAC family are not among them on purpose. */
export const jwtSvidAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
] as const
export type JwtSvidAlgorithm = (typeof jwtSvidAlgorithms)[number]

/** Longest token that is looked at, bytes. Far above any real one. */
const maxTokenBytes = 32 * 1024
const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * A JWT-SVID whose form is right. Nothing is known yet of its signature, audience or time: see `verifyJwtSvid`.
 * The token itself comes out of {@link JwtSvid.reveal} only: printing, inspecting or serialising the value never shows it.
 */
export class JwtSvid {
  /** `sub`. */
  readonly spiffeId: SpiffeId
  /** `aud`, at least one. */
  readonly audiences: readonly string[]
  /** `exp`. */
  readonly expiresAt: Date
  /** `iat`. */
  readonly issuedAt: Date | undefined
  /** `nbf`. */
  readonly notBefore?: Date | undefined
  readonly issuer: string | undefined
  readonly keyId: string | undefined
  readonly algorithm: JwtSvidAlgorithm
  readonly #token: string

  constructor(token: string, claims: Omit<JwtSvid, 'reveal'>) {
    this.#token = token
    this.spiffeId = claims.spiffeId
    this.audiences = claims.audiences
    this.expiresAt = claims.expiresAt
    this.issuedAt = claims.issuedAt
    this.notBefore = claims.notBefore
    this.issuer = claims.issuer
    this.keyId = claims.keyId
    this.algorithm = claims.algorithm
  }

  /** The compact serialisation: a bearer credential. */
  reveal(): string {
    return this.#token
  }
}

/** @throws ERR_JWT_SVID_INVALID: JWT-SVID §2 (header), §3 (claims), §4 (compact serialisation only). */
export function parseJwtSvid(token: string): JwtSvid {
  if (token.length > maxTokenBytes) throw invalid(`it is longer than ${maxTokenBytes} bytes`)
  const parts = token.split('.')
  const [headerPart, payloadPart, signaturePart] = parts
  if (parts.length !== 3 || !headerPart || !payloadPart || !signaturePart) {
    throw invalid('it is not a signed JWT in compact serialisation')
  }
  if (!/^[A-Za-z0-9_-]+$/.test(signaturePart)) throw invalid('its signature is not base64url')
  const header = decodePart(headerPart, 'header')
  const payload = decodePart(payloadPart, 'payload')

  const algorithm = jwtSvidAlgorithms.find((known) => known === header.alg)
  if (algorithm === undefined) throw invalid('"alg" is not one that a JWT-SVID may have')
  if (header.typ !== undefined && header.typ !== 'JWT' && header.typ !== 'JOSE') {
    throw invalid('"typ" is neither "JWT" nor "JOSE"')
  }
  if (header.kid !== undefined && (typeof header.kid !== 'string' || header.kid === '')) {
    throw invalid('"kid" is not a text')
  }
  // RFC 7515 §4.1.11: an extension that must be understood, and is not, makes the token invalid.
  if (header.crit !== undefined) throw invalid('"crit" names extensions that are not understood')

  if (typeof payload.sub !== 'string') throw invalid('"sub" is missing')
  let spiffeId: SpiffeId
  try {
    spiffeId = parseSpiffeId(payload.sub)
  } catch (cause) {
    throw invalid('"sub" is no SPIFFE ID', cause)
  }
  const expiresAt = numericDate(payload.exp, 'exp')
  if (expiresAt === undefined) throw invalid('"exp" is missing')
  if (payload.iss !== undefined && typeof payload.iss !== 'string') throw invalid('"iss" is not a text')
  return new JwtSvid(token, {
    spiffeId,
    audiences: parseAudiences(payload.aud),
    expiresAt,
    issuedAt: numericDate(payload.iat, 'iat'),
    notBefore: numericDate(payload.nbf, 'nbf'),
    issuer: payload.iss as string | undefined,
    keyId: header.kid as string | undefined,
    algorithm,
  })
}

function parseAudiences(aud: unknown): readonly string[] {
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (aud === undefined || audiences.length === 0) throw invalid('"aud" is missing')
  for (const audience of audiences) {
    if (typeof audience !== 'string' || audience === '') throw invalid('"aud" holds something other than texts')
  }
  return audiences as readonly string[]
}

function numericDate(value: unknown, claim: string): Date | undefined {
  if (value === undefined) return undefined
  // 8.64e12 s is the last moment that a Date can hold.
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0 || value > 8.64e12) {
    throw invalid(`"${claim}" is not a time`)
  }
  return new Date(value * 1000)
}

function decodePart(part: string, name: string): Record<string, unknown> {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) throw invalid(`its ${name} is not base64url`)
  let value: unknown
  try {
    value = JSON.parse(decoder.decode(Buffer.from(part, 'base64url')))
  } catch {
    // The parser's message quotes the text, so it is not passed on.
    throw invalid(`its ${name} is not JSON`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`its ${name} is no object`)
  return value as Record<string, unknown>
}

function invalid(why: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_JWT_SVID_INVALID', `not a JWT-SVID: ${why}`, { cause })
}
