import { jwtSvidAlgorithms } from '../../spiffe/jwt-svid.ts'
import type { RelyingParty } from '../relying-party.ts'

/** HashiCorp Vault and OpenBao, `auth/jwt` with `oidc_discovery_url` and `bound_issuer`; 60 s of leeway unless the role says otherwise. */
export const vault: RelyingParty = {
  kind: 'vault',
  title: 'Vault or OpenBao auth/jwt',
  issuer: {
    checked: true,
    trustDomainOnly: false,
    httpsOnly: false,
    portAllowed: true,
    maxLength: undefined,
    mustBePublic: false,
  },
  keys: 'discovery',
  keyUse: undefined,
  algorithms: { accepted: jwtSvidAlgorithms, tested: undefined },
  audience: { usual: undefined, single: false },
  subject: { maxBytes: undefined, trustDomainChecked: false },
  time: { iatRequired: false, maxLifetimeS: undefined, longLifetime: 'refuses', leewayS: 60, futureIatRefused: true },
  kidRequired: false,
}
