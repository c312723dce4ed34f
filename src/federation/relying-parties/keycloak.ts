import { jwtSvidAlgorithms } from '../../spiffe/jwt-svid.ts'
import type { RelyingParty } from '../relying-party.ts'

/**
 * Keycloak's `spiffe` identity provider with federated client authentication. Seen with 26.4.0: a token with an `iss` other than the trust
 * domain finds no client, keys must have the use `jwt-svid` (the SPIFFE bundle has it, an OIDC key set has not), `aud` must be the realm's
 * issuer and nothing else. Later versions refuse assertions that live longer than 300 s unless the provider says otherwise.
 */
export const keycloak: RelyingParty = {
  kind: 'keycloak',
  title: 'Keycloak federated client authentication',
  issuer: {
    checked: false,
    trustDomainOnly: true,
    httpsOnly: false,
    portAllowed: true,
    maxLength: undefined,
    mustBePublic: false,
  },
  keys: 'jwks',
  keyUse: ['jwt-svid'],
  algorithms: { accepted: jwtSvidAlgorithms, tested: undefined },
  audience: { usual: undefined, single: true },
  subject: { maxBytes: undefined, trustDomainChecked: true },
  time: { iatRequired: false, maxLifetimeS: 300, longLifetime: 'risks', leewayS: 15, futureIatRefused: false },
  kidRequired: true,
}
