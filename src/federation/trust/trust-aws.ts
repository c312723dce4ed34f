import { hclText } from './hcl-text.ts'
import { shellCommand } from './shell-word.ts'
import type { TrustBuilder, TrustInput, TrustStep } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** IAM OIDC provider, a role that only this SPIFFE ID can assume, and no permission that was not asked for. */
export const trustAws: TrustBuilder = {
  ...trustOptions.aws,
  build: (input) => ({
    kind: 'aws',
    steps: input.format === 'terraform' ? terraform(input) : commands(input),
    notes: [
      'One OIDC provider serves every workload of the trust domain: where it exists, skip its creation and add the audience to its client IDs.',
      'Credentials live 15 minutes at least: deleting the registration entry stops new ones, not those already given.',
      ...(input.many('allow').length > 0
        ? []
        : ['The role has no permissions yet: add them with --allow ACTION=RESOURCE.']),
    ],
  }),
}

/** What IAM calls the provider: the issuer without its scheme. Condition keys begin with it. */
export function providerNameOf(issuer: string): string {
  return issuer.replace(/^https?:\/\//, '')
}

export function awsTrustPolicy(input: TrustInput): object {
  const provider = providerNameOf(input.issuer)
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: {
          Federated: `arn:${input.one('partition')}:iam::${input.one('account')}:oidc-provider/${provider}`,
        },
        Action: 'sts:AssumeRoleWithWebIdentity',
        Condition: { StringEquals: { [`${provider}:aud`]: input.audience, [`${provider}:sub`]: input.spiffeId } },
      },
    ],
  }
}

function permissionPolicy(input: TrustInput): object | undefined {
  const statements = input.many('allow').map((permission) => {
    const equals = permission.indexOf('=')
    return { Effect: 'Allow', Action: permission.slice(0, equals), Resource: permission.slice(equals + 1) }
  })
  return statements.length === 0 ? undefined : { Version: '2012-10-17', Statement: statements }
}

function commands(input: TrustInput): readonly TrustStep[] {
  const permissions = permissionPolicy(input)
  return [
    json('trust-policy.json', awsTrustPolicy(input)),
    {
      kind: 'command',
      command: shellCommand(
        'aws',
        'iam',
        'create-open-id-connect-provider',
        ['--url', input.issuer],
        ['--client-id-list', input.audience],
      ),
    },
    {
      kind: 'command',
      command: shellCommand(
        'aws',
        'iam',
        'create-role',
        ['--role-name', input.name],
        ['--assume-role-policy-document', 'file://trust-policy.json'],
        ['--max-session-duration', '3600'],
      ),
    },
    ...(permissions === undefined
      ? []
      : [
          json('permissions.json', permissions),
          {
            kind: 'command' as const,
            command: shellCommand(
              'aws',
              'iam',
              'put-role-policy',
              ['--role-name', input.name],
              ['--policy-name', input.name],
              ['--policy-document', 'file://permissions.json'],
            ),
          },
        ]),
  ]
}

function terraform(input: TrustInput): readonly TrustStep[] {
  const id = input.name.replaceAll('-', '_')
  const permissions = permissionPolicy(input)
  const text = `resource "aws_iam_openid_connect_provider" "${id}" {
  url            = ${hclText(input.issuer)}
  client_id_list = [${hclText(input.audience)}]
}

resource "aws_iam_role" "${id}" {
  name                 = ${hclText(input.name)}
  max_session_duration = 3600
  assume_role_policy   = ${hclText(JSON.stringify(awsTrustPolicy(input)))}
  depends_on           = [aws_iam_openid_connect_provider.${id}]
}
${
  permissions === undefined
    ? ''
    : `
resource "aws_iam_role_policy" "${id}" {
  name   = ${hclText(input.name)}
  role   = aws_iam_role.${id}.id
  policy = ${hclText(JSON.stringify(permissions))}
}
`
}`
  return [{ kind: 'file', path: `${input.name}.tf`, text }]
}

function json(path: string, value: object): TrustStep {
  return { kind: 'file', path, text: `${JSON.stringify(value, undefined, 2)}\n` }
}
