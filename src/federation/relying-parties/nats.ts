import { jwtSvidAlgorithms } from '../../spiffe/jwt-svid.ts'
import type { RelyingParty } from '../relying-party.ts'

/** Herald's own auth callout service behind NATS: verifies with the trust domain's JWT bundle, so that no issuer and no discovery is needed. */
export const nats: RelyingParty = {
  kind: 'nats',
  title: 'NATS auth callout',
  issuer: {
    checked: false,
    trustDomainOnly: false,
    httpsOnly: false,
    portAllowed: true,
    maxLength: undefined,
    mustBePublic: false,
  },
  keys: 'none',
  keyUse: undefined,
  algorithms: { accepted: jwtSvidAlgorithms, tested: undefined },
  audience: { usual: 'nats', single: false },
  subject: { maxBytes: undefined, trustDomainChecked: true },
  time: { iatRequired: false, maxLifetimeS: undefined, longLifetime: 'refuses', leewayS: 0, futureIatRefused: false },
  kidRequired: true,
}
