import type { RelyingParty } from '../relying-party.ts'

/**
 * `AssumeRoleWithWebIdentity`. Algorithms: API reference, WebIdentityToken. Subject: SubjectFromWebIdentityToken, at most 255 characters.
 * The issuer of an IAM OIDC provider is an `https` URL without port, query or fragment, of at most 255 characters.
 */
export const aws: RelyingParty = {
  kind: 'aws',
  title: 'AWS IAM and STS',
  issuer: {
    checked: true,
    trustDomainOnly: false,
    httpsOnly: true,
    portAllowed: false,
    maxLength: 255,
    mustBePublic: true,
  },
  keys: 'discovery',
  keyUse: undefined,
  algorithms: { accepted: ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'], tested: undefined },
  audience: { usual: 'sts.amazonaws.com', single: false },
  subject: { maxBytes: 255, trustDomainChecked: false },
  time: { iatRequired: true, maxLifetimeS: undefined, longLifetime: 'refuses', leewayS: 0, futureIatRefused: true },
  kidRequired: true,
}
