/** What the issuer publishes, as far as somebody looked. */
export type DiscoveryFacts =
  | { readonly kind: 'unread' }
  | { readonly kind: 'unreachable'; readonly url: string; readonly reason: string }
  | {
      readonly kind: 'read'
      readonly url: string
      /** Undefined when only a key set was read. */
      readonly issuer: string | undefined
      readonly jwksUri: string | undefined
      readonly keys: readonly PublishedKey[]
    }

export type PublishedKey = {
  readonly kid: string | undefined
  readonly kty: string
  readonly crv: string | undefined
  readonly use: string | undefined
}

/** Does a key of this type verify signatures of `algorithm`? RFC 7518 §3.1. */
export function keyFitsAlgorithm(key: PublishedKey, algorithm: string): boolean {
  const curves: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
  if (algorithm.startsWith('ES')) return key.kty === 'EC' && (key.crv === undefined || key.crv === curves[algorithm])
  return key.kty === 'RSA'
}
