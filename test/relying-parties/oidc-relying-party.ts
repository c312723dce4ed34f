import { createRemoteJWKSet, customFetch, decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'

/** Why a token is not believed. */
export class TokenRefused extends Error {
  readonly reason:
    | 'malformed'
    | 'unknown-issuer'
    | 'provider-not-reachable'
    | 'no-key'
    | 'signature'
    | 'audience'
    | 'expired'
    | 'not-yet'
  constructor(reason: TokenRefused['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

export type OidcProvider = { readonly issuer: string; readonly clientIds: readonly string[] }

export type VerifiedToken = { readonly issuer: string; readonly subject: string; readonly audience: readonly string[] }

/** The algorithms AWS takes from an OIDC provider. */
const algorithms = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512']
/** A token issued so much in the future is refused, seconds. */
const clockSkewS = 300

/**
 * Believes tokens as a relying party in the cloud does: the issuer must be a known provider, its keys come from its discovery
 * document over HTTP, and signature, audience and times must hold.
 */
export function createOidcRelyingParty(
  providers: readonly OidcProvider[],
  { fetch = globalThis.fetch, nowMs = Date.now }: { fetch?: typeof globalThis.fetch; nowMs?: () => number } = {},
): { verify(token: string): Promise<VerifiedToken> } {
  const keySets = new Map<string, ReturnType<typeof createRemoteJWKSet>>()

  async function keysOf(issuer: string) {
    const known = keySets.get(issuer)
    if (known !== undefined) return known
    const keys = createRemoteJWKSet(await discover(issuer), {
      [customFetch]: fetch,
      cooldownDuration: 0,
      timeoutDuration: 5000,
    })
    keySets.set(issuer, keys)
    return keys
  }

  async function discover(issuer: string): Promise<URL> {
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(5000) })
      if (!response.ok) throw new Error(`${url} answered ${response.status}`)
      const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown }
      if (document.issuer !== issuer) throw new Error(`${url} names the issuer ${document.issuer}`)
      return new URL(`${document.jwks_uri}`)
    } catch (cause) {
      throw new TokenRefused('provider-not-reachable', `no usable discovery document at ${url}`, { cause })
    }
  }

  return {
    async verify(token) {
      const provider = providers.find(({ issuer }) => issuer === decodeUnverified(token).iss)
      if (provider === undefined) throw new TokenRefused('unknown-issuer', `${decodeUnverified(token).iss}`)
      const keys = await keysOf(provider.issuer)
      try {
        const { payload } = await jwtVerify(token, keys, {
          algorithms,
          issuer: provider.issuer,
          audience: [...provider.clientIds],
          requiredClaims: ['sub', 'exp', 'iat'],
          currentDate: new Date(nowMs()),
        })
        if ((payload.iat ?? 0) > nowMs() / 1000 + clockSkewS) throw new TokenRefused('not-yet', 'issued in the future')
        return { issuer: provider.issuer, subject: payload.sub ?? '', audience: [payload.aud ?? []].flat() }
      } catch (error) {
        throw fromJose(error)
      }
    },
  }
}

function decodeUnverified(token: string): JWTPayload {
  try {
    return decodeJwt(token)
  } catch (cause) {
    throw new TokenRefused('malformed', 'not a JWT', { cause })
  }
}

function fromJose(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new TokenRefused('expired', `expired at ${error.payload.exp}`)
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return new TokenRefused('audience', 'incorrect audience')
    return new TokenRefused(error.claim === 'nbf' ? 'not-yet' : 'malformed', `the claim ${error.claim} is not right`)
  }
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return new TokenRefused('signature', 'the signature is not right')
  if (error instanceof errors.JWKSNoMatchingKey) return new TokenRefused('no-key', 'the provider has no such key')
  if (error instanceof errors.JWKSTimeout) return new TokenRefused('provider-not-reachable', 'the keys cannot be had')
  if (error instanceof errors.JOSEError) return new TokenRefused('malformed', error.message)
  if (error instanceof TokenRefused) return error
  return new TokenRefused('provider-not-reachable', 'the keys cannot be had', { cause: error })
}
