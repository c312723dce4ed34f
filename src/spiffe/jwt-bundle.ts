import { createLocalJWKSet, type JWK } from 'jose'
import { HeraldError } from '../errors/herald-error.ts'
import type { TrustDomain } from './trust-domain.ts'

/** The public keys with which one trust domain signs JWT-SVIDs. Trust Domain and Bundle §4; JWT-SVID §5. */
export type JwtBundle = {
  readonly trustDomain: TrustDomain
  readonly keyIds: ReadonlySet<string>
  /** Finds the key for a signature; for `jose`. */
  readonly keySet: ReturnType<typeof createLocalJWKSet>
}

/** Largest JWKS document that is read, bytes. */
const maxBundleBytes = 16 * 1024 * 1024

/**
 * Reads a JWKS document. Keys for X.509 (`use: x509-svid`) and keys of unknown type are left out; a JWT key without `kid`
 * makes the bundle invalid, as does private key material.
 * @throws ERR_JWT_BUNDLE_INVALID
 */
export function parseJwtBundle(trustDomain: TrustDomain, document: string | Uint8Array): JwtBundle {
  if (document.length > maxBundleBytes) throw invalid(trustDomain, `it is larger than ${maxBundleBytes} bytes`)
  let value: unknown
  try {
    value = JSON.parse(
      typeof document === 'string' ? document : new TextDecoder('utf-8', { fatal: true }).decode(document),
    )
  } catch (cause) {
    throw invalid(trustDomain, 'it is not JSON', cause)
  }
  const keys = (value as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys)) throw invalid(trustDomain, 'it has no "keys"')
  const keyIds = new Set<string>()
  const accepted: JWK[] = []
  for (const key of keys as unknown[]) {
    if (typeof key !== 'object' || key === null) throw invalid(trustDomain, 'a key is no object')
    // `use` is the SPIFFE bundle's own ("jwt-svid"); jose knows only "sig".
    const { use, ...jwk } = key as JWK
    if (use === 'x509-svid' || (jwk.kty !== 'EC' && jwk.kty !== 'RSA')) continue
    if (typeof jwk.kid !== 'string' || jwk.kid === '') throw invalid(trustDomain, 'a key has no "kid"')
    if (jwk.d !== undefined) throw invalid(trustDomain, 'it holds a private key')
    keyIds.add(jwk.kid)
    accepted.push(jwk)
  }
  return { trustDomain, keyIds, keySet: createLocalJWKSet({ keys: accepted }) }
}

function invalid(trustDomain: TrustDomain, why: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_JWT_BUNDLE_INVALID', `the JWT bundle of ${trustDomain} cannot be used: ${why}`, { cause })
}
