import type { RelyingParty } from '../relying-party.ts'

/** Kafka's OAUTHBEARER validator (jose4j): `sub`, `iat` and `exp` must be there; `iss` and `aud` are compared when the broker names them. */
export const kafka: RelyingParty = {
  kind: 'kafka',
  title: 'Kafka SASL/OAUTHBEARER',
  issuer: {
    checked: true,
    trustDomainOnly: false,
    httpsOnly: false,
    portAllowed: true,
    maxLength: undefined,
    mustBePublic: false,
  },
  keys: 'jwks',
  keyUse: undefined,
  algorithms: { accepted: ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'], tested: undefined },
  audience: { usual: undefined, single: false },
  subject: { maxBytes: undefined, trustDomainChecked: false },
  time: { iatRequired: true, maxLifetimeS: undefined, longLifetime: 'refuses', leewayS: 30, futureIatRefused: false },
  kidRequired: true,
}
