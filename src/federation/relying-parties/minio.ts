import type { RelyingParty } from '../relying-party.ts'

/** MinIO's STS: takes the keys from the discovery document it was given and looks at signature, `aud` and `exp`, never at `iss`. */
export const minio: RelyingParty = {
  kind: 'minio',
  title: 'MinIO STS',
  issuer: {
    checked: false,
    trustDomainOnly: false,
    httpsOnly: false,
    portAllowed: true,
    maxLength: undefined,
    mustBePublic: false,
  },
  keys: 'discovery',
  keyUse: undefined,
  algorithms: { accepted: ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'], tested: undefined },
  audience: { usual: 'sts.amazonaws.com', single: false },
  subject: { maxBytes: undefined, trustDomainChecked: false },
  time: { iatRequired: false, maxLifetimeS: undefined, longLifetime: 'refuses', leewayS: 0, futureIatRefused: true },
  kidRequired: true,
}
