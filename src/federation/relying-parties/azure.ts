import type { RelyingParty } from '../relying-party.ts'

/**
 * A federated identity credential. Issuer and subject are compared exactly (case too) and hold at most 600 characters each;
 * Microsoft says that issuers signing with RS256 are tested and that others may work.
 */
export const azure: RelyingParty = {
  kind: 'azure',
  title: 'Microsoft Entra federated identity credential',
  issuer: {
    checked: true,
    trustDomainOnly: false,
    httpsOnly: true,
    portAllowed: true,
    maxLength: 600,
    mustBePublic: true,
  },
  keys: 'discovery',
  keyUse: undefined,
  algorithms: { accepted: ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'], tested: ['RS256'] },
  audience: { usual: 'api://AzureADTokenExchange', single: false },
  subject: { maxBytes: 600, trustDomainChecked: false },
  time: { iatRequired: false, maxLifetimeS: undefined, longLifetime: 'refuses', leewayS: 300, futureIatRefused: false },
  kidRequired: true,
}
