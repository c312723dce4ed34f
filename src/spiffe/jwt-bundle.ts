import type { JWK } from 'jose'
import { HeraldError } from '../errors/herald-error.ts'
import { JwtAuthorityKey } from './jwt-authority-key.ts'
import type { JwtSvid } from './jwt-svid.ts'
import type { TrustDomain } from './trust-domain.ts'

/** Largest JWKS document that is read, bytes. */
const maxBundleBytes = 16 * 1024 * 1024

/** The public keys with which one trust domain signs JWT-SVIDs. Only {@link parseJwtBundle} makes one. */
export class JwtBundle {
  readonly trustDomain: TrustDomain
  readonly #keys: ReadonlyMap<string, JwtAuthorityKey>

  constructor(trustDomain: TrustDomain, keys: ReadonlyMap<string, JwtAuthorityKey>) {
    this.trustDomain = trustDomain
    this.#keys = keys
  }

  get keyIds(): readonly string[] {
    return [...this.#keys.keys()]
  }

  has(keyId: string): boolean {
    return this.#keys.has(keyId)
  }

  /** The key that a token names by `kid`; of a token that names none, the only one that fits its `alg`. */
  keyOf({ keyId, algorithm }: JwtSvid): JwtAuthorityKey | undefined {
    if (keyId !== undefined) return this.#keys.get(keyId)
    const fitting = [...this.#keys.values()].filter((key) => key.fits(algorithm))
    return fitting.length === 1 ? fitting[0] : undefined
  }
}

/**
 * Reads a JWKS document (Trust Domain and Bundle §4; JWT-SVID §6.2). Keys of another use than `jwt-svid` and of unknown type are left out;
 * no `use` at all is taken for that, since the document of the Workload API has JWT keys only and does not say so. A JWT key without `kid`,
 * one that cannot be read and private key material make the bundle invalid.
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
  const jwks = (value as { keys?: unknown } | null)?.keys
  if (!Array.isArray(jwks)) throw invalid(trustDomain, 'it has no "keys"')
  const keys = new Map<string, JwtAuthorityKey>()
  for (const jwk of jwks as unknown[]) {
    const key = parseKey(trustDomain, jwk)
    if (key !== undefined) keys.set(key.keyId, key)
  }
  return new JwtBundle(trustDomain, keys)
}

function parseKey(trustDomain: TrustDomain, value: unknown): JwtAuthorityKey | undefined {
  if (typeof value !== 'object' || value === null) throw invalid(trustDomain, 'a key is no object')
  const jwk = value as JWK
  if ((jwk.use !== undefined && jwk.use !== 'jwt-svid') || (jwk.kty !== 'EC' && jwk.kty !== 'RSA')) return undefined
  if (typeof jwk.kid !== 'string' || jwk.kid === '') throw invalid(trustDomain, 'a key has no "kid"')
  if (jwk.d !== undefined) throw invalid(trustDomain, 'it holds a private key')
  try {
    return new JwtAuthorityKey(jwk.kid, jwk)
  } catch (cause) {
    throw invalid(trustDomain, `the key ${JSON.stringify(jwk.kid.slice(0, 100))} cannot be read`, cause)
  }
}

function invalid(trustDomain: TrustDomain, why: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_JWT_BUNDLE_INVALID', `the JWT bundle of ${trustDomain} cannot be used: ${why}`, { cause })
}
