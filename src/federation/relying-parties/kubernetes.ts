import { jwtSvidAlgorithms } from '../../spiffe/jwt-svid.ts'
import type { RelyingParty } from '../relying-party.ts'

/** kube-apiserver with an AuthenticationConfiguration: the issuer's URL is `https` without query or fragment; every RFC 7518 asymmetric algorithm. */
export const kubernetes: RelyingParty = {
  kind: 'kubernetes',
  title: 'kube-apiserver structured authentication',
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
