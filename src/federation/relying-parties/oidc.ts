import { jwtSvidAlgorithms } from '../../spiffe/jwt-svid.ts'
import type { RelyingParty } from '../relying-party.ts'

/** Any party that follows OpenID Connect Discovery 1.0: `https`, and an issuer that is the same in document and token, byte by byte (§4.3). */
export const oidc: RelyingParty = {
  kind: 'oidc',
  title: 'an OpenID Connect relying party',
  issuer: {
    checked: true,
    trustDomainOnly: false,
    httpsOnly: true,
    portAllowed: true,
    maxLength: undefined,
    mustBePublic: false,
  },
  keys: 'discovery',
  keyUse: undefined,
  algorithms: { accepted: jwtSvidAlgorithms, tested: undefined },
  audience: { usual: undefined, single: false },
  subject: { maxBytes: undefined, trustDomainChecked: false },
  time: { iatRequired: false, maxLifetimeS: undefined, longLifetime: 'refuses', leewayS: 0, futureIatRefused: false },
  kidRequired: false,
}
