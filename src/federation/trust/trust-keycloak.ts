import { shellCommand } from './shell-word.ts'
import type { TrustBuilder } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** A `spiffe` identity provider for the trust domain, and a client that authenticates with the SVID of this SPIFFE ID alone. */
export const trustKeycloak: TrustBuilder = {
  ...trustOptions.keycloak,
  build(input) {
    const provider = {
      alias: input.one('provider'),
      providerId: 'spiffe',
      enabled: true,
      config: {
        // 26.4 reads `issuer`, later versions `trustDomain`; each ignores the other.
        issuer: `spiffe://${input.trustDomain}`,
        trustDomain: `spiffe://${input.trustDomain}`,
        bundleEndpoint: input.one('bundle-endpoint'),
      },
    }
    const client = {
      clientId: input.spiffeId,
      name: input.name,
      enabled: true,
      publicClient: false,
      standardFlowEnabled: false,
      implicitFlowEnabled: false,
      directAccessGrantsEnabled: false,
      serviceAccountsEnabled: true,
      fullScopeAllowed: false,
      clientAuthenticatorType: 'federated-jwt',
      attributes: {
        'jwt.credential.issuer': input.one('provider'),
        'jwt.credential.sub': input.spiffeId,
        'standard.token.exchange.enabled': 'true',
      },
    }
    const create = (what: string, file: string) => ({
      kind: 'command' as const,
      command: shellCommand('kcadm.sh', 'create', what, ['-r', input.one('realm')], ['-f', file]),
    })
    return {
      kind: 'keycloak',
      steps: [
        { kind: 'file', path: 'identity-provider.json', text: `${JSON.stringify(provider, undefined, 2)}\n` },
        create('identity-provider/instances', 'identity-provider.json'),
        { kind: 'file', path: 'client.json', text: `${JSON.stringify(client, undefined, 2)}\n` },
        create('clients', 'client.json'),
      ],
      notes: [
        'Keycloak 26.4 or later, started with --features=spiffe (26.4: --features=spiffe,client-auth-federated).',
        'Tokens must have no iss (a SPIRE server without jwt_issuer), and the bundle endpoint must be a SPIFFE one, whose keys have the use jwt-svid.',
        `Ask for one audience, ${input.audience}, which must be the realm's issuer; let tokens live 300 s at most.`,
      ],
    }
  },
}
