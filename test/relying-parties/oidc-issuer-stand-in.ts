import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { startHttpStandIn } from './http-stand-in.ts'

export type TokenClaims = {
  readonly sub?: string
  readonly aud?: string | string[]
  readonly iss?: string
  /** Seconds from now. */
  readonly expiresInS?: number
  readonly issuedInS?: number
}

export type OidcIssuerStandIn = AsyncDisposable & {
  readonly issuer: string
  /** A token of the shape of SPIRE's JWT-SVIDs: ES256, `aud` an array, no `nbf`. */
  sign(claims: TokenClaims): Promise<string>
  /** Signs with a key that the issuer does not publish, under the kid of the one that it does. */
  forge(claims: TokenClaims): Promise<string>
  close(): Promise<void>
}

const kid = 'stand-in-key-1'

/** Stands in for SPIRE's OIDC discovery provider where a test needs tokens that no SPIRE would issue: expired, forged, of another issuer. */
export async function startOidcIssuerStandIn({
  nowMs = Date.now,
}: {
  nowMs?: () => number
} = {}): Promise<OidcIssuerStandIn> {
  const genuine = await generateKeyPair('ES256')
  const other = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(genuine.publicKey)), kid, alg: 'ES256', use: 'sig' }
  let issuer = ''
  const server = await startHttpStandIn(async ({ target }) => {
    const documents: Record<string, object> = {
      '/.well-known/openid-configuration': {
        issuer,
        jwks_uri: `${issuer}/keys`,
        authorization_endpoint: '',
        response_types_supported: ['id_token'],
        subject_types_supported: [],
        id_token_signing_alg_values_supported: ['ES256'],
      },
      '/keys': { keys: [jwk] },
    }
    const found = documents[target]
    return {
      status: found ? 200 : 404,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(found ?? {}),
    }
  })
  issuer = server.url

  async function signWith(key: CryptoKey, claims: TokenClaims): Promise<string> {
    const nowS = Math.floor(nowMs() / 1000)
    return new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
      .setIssuer(claims.iss ?? issuer)
      .setSubject(claims.sub ?? 'spiffe://example.org/default/api-gateway')
      .setAudience(claims.aud ?? ['sts.amazonaws.com'])
      .setIssuedAt(nowS + (claims.issuedInS ?? 0))
      .setExpirationTime(nowS + (claims.expiresInS ?? 300))
      .sign(key)
  }

  return {
    issuer,
    sign: (claims) => signWith(genuine.privateKey, claims),
    forge: (claims) => signWith(other.privateKey, claims),
    close: server.close,
    [Symbol.asyncDispose]: server.close,
  }
}
