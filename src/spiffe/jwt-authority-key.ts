import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { JWK } from 'jose'
import type { JwtSvidAlgorithm } from './jwt-svid.ts'

type Scheme =
  | { readonly kind: 'EC'; readonly hash: string; readonly curve: string }
  | { readonly kind: 'RSA'; readonly hash: string; readonly padding: number }

/** RFC 7518 §3.3 to §3.5. */
const schemes: Readonly<Record<JwtSvidAlgorithm, Scheme>> = {
  RS256: { kind: 'RSA', hash: 'sha256', padding: constants.RSA_PKCS1_PADDING },
  RS384: { kind: 'RSA', hash: 'sha384', padding: constants.RSA_PKCS1_PADDING },
  RS512: { kind: 'RSA', hash: 'sha512', padding: constants.RSA_PKCS1_PADDING },
  PS256: { kind: 'RSA', hash: 'sha256', padding: constants.RSA_PKCS1_PSS_PADDING },
  PS384: { kind: 'RSA', hash: 'sha384', padding: constants.RSA_PKCS1_PSS_PADDING },
  PS512: { kind: 'RSA', hash: 'sha512', padding: constants.RSA_PKCS1_PSS_PADDING },
  ES256: { kind: 'EC', hash: 'sha256', curve: 'prime256v1' },
  ES384: { kind: 'EC', hash: 'sha384', curve: 'secp384r1' },
  ES512: { kind: 'EC', hash: 'sha512', curve: 'secp521r1' },
}

/** RFC 7518 §3.3: the least size of an RSA key, bits. */
const minRsaBits = 2048

/** One public key of a trust domain, with which JWT-SVIDs are verified. */
export class JwtAuthorityKey {
  readonly keyId: string
  readonly #key: KeyObject
  /** `alg` of the JWK, when it limits the key to one algorithm. */
  readonly #onlyAlgorithm: string | undefined

  /** @throws TypeError and node:crypto's errors when the JWK is no EC or RSA public key. */
  constructor(keyId: string, jwk: JWK) {
    this.keyId = keyId
    this.#key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' })
    this.#onlyAlgorithm = typeof jwk.alg === 'string' ? jwk.alg : undefined
    if (this.#key.asymmetricKeyType === 'rsa' && (this.#key.asymmetricKeyDetails?.modulusLength ?? 0) < minRsaBits) {
      throw new TypeError(`an RSA key has fewer than ${minRsaBits} bits`)
    }
  }

  /** Whether a signature of this algorithm can be of this key at all. */
  fits(algorithm: JwtSvidAlgorithm): boolean {
    if (this.#onlyAlgorithm !== undefined && this.#onlyAlgorithm !== algorithm) return false
    const scheme = schemes[algorithm]
    if (scheme.kind === 'RSA') return this.#key.asymmetricKeyType === 'rsa'
    return this.#key.asymmetricKeyType === 'ec' && this.#key.asymmetricKeyDetails?.namedCurve === scheme.curve
  }

  /**
   * RFC 7515 §5.2, for a compact serialisation whose `alg` is this one. Synchronous on purpose: it takes less time on this thread than
   * the way to another and back.
   */
  hasSigned(token: string, algorithm: JwtSvidAlgorithm): boolean {
    if (!this.fits(algorithm)) return false
    const dot = token.lastIndexOf('.')
    const signed = Buffer.from(token.slice(0, dot), 'ascii')
    const signature = Buffer.from(token.slice(dot + 1), 'base64url')
    const scheme = schemes[algorithm]
    if (scheme.kind === 'EC') {
      return verify(scheme.hash, signed, { key: this.#key, dsaEncoding: 'ieee-p1363' }, signature)
    }
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST
    return verify(scheme.hash, signed, { key: this.#key, padding: scheme.padding, saltLength }, signature)
  }
}
