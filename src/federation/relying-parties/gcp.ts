import type { RelyingParty } from '../relying-party.ts'

/**
 * Workload identity federation. Algorithms, `kid`, `iat` in the past and `exp - iat` below 48 h: STS API reference, subjectToken.
 * The mapped attribute `google.subject` holds at most 127 bytes.
 */
export const gcp: RelyingParty = {
  kind: 'gcp',
  title: 'Google Cloud workload identity federation',
  issuer: {
    checked: true,
    trustDomainOnly: false,
    httpsOnly: true,
    portAllowed: true,
    maxLength: undefined,
    mustBePublic: true,
  },
  keys: 'discovery',
  keyUse: undefined,
  algorithms: { accepted: ['RS256', 'ES256'], tested: undefined },
  audience: { usual: undefined, single: false },
  subject: { maxBytes: 127, trustDomainChecked: false },
  time: { iatRequired: true, maxLifetimeS: 48 * 3600 - 1, longLifetime: 'refuses', leewayS: 0, futureIatRefused: true },
  kidRequired: true,
}
