import { jwtSvidAlgorithms } from '../../spiffe/jwt-svid.ts'
import type { RelyingParty } from '../relying-party.ts'

/**
 * Keycloak's `spiffe` identity provider with federated client authentication: `iss` is not looked at, the subject must be in the provider's
 * trust domain, `aud` must be the realm's issuer and nothing else, and an assertion may live for 300 s unless the provider says otherwise.
 */
export const keycloak: RelyingParty = {
  kind: 'keycloak',
  title: 'Keycloak federated client authentication',
  issuer: { checked: false, httpsOnly: false, portAllowed: true, maxLength: undefined, mustBePublic: false },
  keys: 'jwks',
  keyUse: ['jwt-svid', 'sig'],
  algorithms: { accepted: jwtSvidAlgorithms, tested: undefined },
  audience: { usual: undefined, single: true },
  subject: { maxBytes: undefined, trustDomainChecked: true },
  time: { iatRequired: false, maxLifetimeS: 300, leewayS: 15, futureIatRefused: false },
  kidRequired: true,
}
