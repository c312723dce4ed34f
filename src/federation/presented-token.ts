import { decodeJwt, decodeProtectedHeader } from 'jose'
import { HeraldError } from '../errors/herald-error.ts'

/** Header and claims of a token as a relying party reads them. Nothing is verified by having one, and the token itself is not kept. */
export type PresentedToken = {
  readonly header: { readonly alg: string; readonly kid: string | undefined }
  readonly claims: {
    readonly iss: string | undefined
    readonly sub: string | undefined
    readonly aud: readonly string[]
    /** Seconds since the Unix epoch. */
    readonly exp: number | undefined
    readonly iat: number | undefined
    readonly names: readonly string[]
  }
  /** White space before or after the compact serialisation: what a file with a trailing newline gives. */
  readonly padded: boolean
}

/** @throws ERR_FEDERATION_TOKEN_INVALID when `compact` is no JWT at all. The message holds no part of it. */
export function readPresentedToken(compact: string): PresentedToken {
  const trimmed = compact.trim()
  let header: ReturnType<typeof decodeProtectedHeader>
  let claims: ReturnType<typeof decodeJwt>
  try {
    header = decodeProtectedHeader(trimmed)
    claims = decodeJwt(trimmed)
  } catch {
    // The cause is dropped on purpose: it may quote the token.
    throw new HeraldError('ERR_FEDERATION_TOKEN_INVALID', 'what was given is not a JWT in compact serialisation', {
      hint: 'Get a JWT-SVID with: herald identity token --audience AUDIENCE',
    })
  }
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  const seconds = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined)
  const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  return {
    header: { alg: text(header.alg) ?? '', kid: text(header.kid) },
    claims: {
      iss: text(claims.iss),
      sub: text(claims.sub),
      aud: audiences.filter((audience) => typeof audience === 'string'),
      exp: seconds(claims.exp),
      iat: seconds(claims.iat),
      names: Object.keys(claims),
    },
    padded: trimmed !== compact,
  }
}
