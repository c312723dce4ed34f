import type { JwtSvidAlgorithm } from '../spiffe/jwt-svid.ts'

/** Who can be given a JWT-SVID as proof of identity. `oidc` is any party that verifies through OpenID Connect discovery. */
export type RelyingPartyKind =
  | 'aws'
  | 'gcp'
  | 'azure'
  | 'vault'
  | 'minio'
  | 'keycloak'
  | 'kafka'
  | 'kubernetes'
  | 'nats'
  | 'oidc'

/** What one relying party demands of a JWT-SVID and of its issuer, as it publishes or as its source does. No code: a description. */
export type RelyingParty = {
  readonly kind: RelyingPartyKind
  /** As a person would say it: `AWS IAM and STS`. */
  readonly title: string
  readonly issuer: {
    /** False where the party never compares `iss`. */
    readonly checked: boolean
    /** `iss` must be absent, or the trust domain as `spiffe://…`. */
    readonly trustDomainOnly: boolean
    readonly httpsOnly: boolean
    readonly portAllowed: boolean
    /** Longest issuer it stores, in characters; undefined = no published limit. */
    readonly maxLength: number | undefined
    /** The party fetches the keys from the internet: a private name or address cannot work. */
    readonly mustBePublic: boolean
  }
  /** Where it gets the keys: `discovery` reads `<issuer>/.well-known/openid-configuration`, `jwks` a key set's URL it was given, `none` = by other means. */
  readonly keys: 'discovery' | 'jwks' | 'none'
  /** `use` values of which every key in the set must have one; undefined = it does not look. */
  readonly keyUse: readonly string[] | undefined
  readonly algorithms: {
    readonly accepted: readonly JwtSvidAlgorithm[]
    /** Those its makers say they test; outside of them is a risk, not a refusal. undefined = all accepted ones. */
    readonly tested: readonly JwtSvidAlgorithm[] | undefined
  }
  readonly audience: {
    /** The audience to ask for when nothing else is configured. */
    readonly usual: string | undefined
    /** A token with more than one audience is refused. */
    readonly single: boolean
  }
  readonly subject: {
    readonly maxBytes: number | undefined
    /** The subject must be in the trust domain that the party was told. */
    readonly trustDomainChecked: boolean
  }
  readonly time: {
    readonly iatRequired: boolean
    /** Longest `exp - iat` it accepts, seconds. */
    readonly maxLifetimeS: number | undefined
    /** Whether every version of it refuses what lives longer. */
    readonly longLifetime: 'refuses' | 'risks'
    /** How far its clock and the issuer's may differ, seconds. */
    readonly leewayS: number
    /** An `iat` further ahead than the leeway is refused. */
    readonly futureIatRefused: boolean
  }
  /** `kid` must be in the token's header. */
  readonly kidRequired: boolean
}
