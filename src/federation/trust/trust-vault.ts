import { shellCommand } from './shell-word.ts'
import type { TrustBuilder, TrustInput } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** `auth/jwt` bound to the issuer, a role bound to one subject and audience, and a policy that reads the given paths only. */
export const trustVault: TrustBuilder = {
  ...trustOptions.vault,
  build(input) {
    const mount = input.one('mount')
    const ca = input.optional('issuer-ca')
    return {
      kind: 'vault',
      steps: [
        { kind: 'command', command: shellCommand('vault', 'auth', 'enable', `-path=${mount}`, 'jwt') },
        {
          kind: 'command',
          command: shellCommand(
            'vault',
            'write',
            `auth/${mount}/config`,
            `oidc_discovery_url=${input.issuer}`,
            `bound_issuer=${input.issuer}`,
            ...(ca === undefined ? [] : [`oidc_discovery_ca_pem=@${ca}`]),
          ),
        },
        { kind: 'file', path: 'policy.hcl', text: vaultPolicy(input) },
        { kind: 'command', command: shellCommand('vault', 'policy', 'write', input.name, 'policy.hcl') },
        { kind: 'file', path: 'role.json', text: `${JSON.stringify(vaultRole(input), undefined, 2)}\n` },
        { kind: 'command', command: shellCommand('vault', 'write', `auth/${mount}/role/${input.name}`, '@role.json') },
      ],
      notes: [
        'The auth method and its config serve every workload of the trust domain; skip the first two where they exist.',
      ],
    }
  },
}

export function vaultRole(input: TrustInput): object {
  return {
    role_type: 'jwt',
    user_claim: 'sub',
    bound_audiences: [input.audience],
    bound_subject: input.spiffeId,
    token_policies: [input.name],
    token_no_default_policy: false,
    token_ttl: input.one('token-ttl'),
    token_max_ttl: '1h',
    token_type: 'service',
  }
}

function vaultPolicy(input: TrustInput): string {
  return input
    .many('read')
    .map((path) => `path ${JSON.stringify(path)} {\n  capabilities = ["read"]\n}\n`)
    .join('\n')
}
