import { stringify } from 'yaml'
import { shellCommand } from './shell-word.ts'
import type { TrustBuilder } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

const usernamePrefix = 'herald:'

/** An AuthenticationConfiguration that admits the trust domain's tokens, and a Role for exactly one of its subjects. */
export const trustKubernetes: TrustBuilder = {
  ...trustOptions.kubernetes,
  build(input) {
    const namespace = input.one('namespace')
    const ca = input.optional('ca')
    const authentication = {
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthenticationConfiguration',
      jwt: [
        {
          issuer: {
            url: input.issuer,
            audiences: [input.audience],
            ...(ca !== undefined && { certificateAuthority: ca }),
          },
          claimMappings: { username: { claim: 'sub', prefix: usernamePrefix } },
          claimValidationRules: [
            {
              expression: `claims.sub.startsWith('spiffe://${input.trustDomain}/')`,
              message: `the subject must be in the trust domain ${input.trustDomain}`,
            },
            { expression: 'claims.exp - claims.iat <= 3600', message: 'a token may live for an hour at most' },
          ],
        },
      ],
    }
    const rules = input.many('allow').map((permission) => {
      const [verbs = '', resource = ''] = permission.split('=')
      const dot = resource.indexOf('.')
      return {
        apiGroups: [dot === -1 ? '' : resource.slice(dot + 1)],
        resources: [dot === -1 ? resource : resource.slice(0, dot)],
        verbs: verbs.split(','),
      }
    })
    const metadata = { name: input.name, namespace }
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules }
    const binding = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: input.name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: `${usernamePrefix}${input.spiffeId}` }],
    }
    return {
      kind: 'kubernetes',
      steps: [
        { kind: 'file', path: 'authentication.yaml', text: stringify(authentication) },
        { kind: 'file', path: 'role.yaml', text: `${stringify(role)}---\n${stringify(binding)}` },
        { kind: 'command', command: shellCommand('kubectl', 'apply', ['-f', 'role.yaml']) },
      ],
      notes: [
        'Start kube-apiserver with --authentication-config=authentication.yaml; it reloads the file when it changes. Kubernetes 1.34 or later (1.30: apiserver.config.k8s.io/v1beta1).',
        `The user is ${usernamePrefix}${input.spiffeId}.`,
      ],
    }
  },
}
