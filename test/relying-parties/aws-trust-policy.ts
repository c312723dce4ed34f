/** The part of an IAM role's trust policy (AWS's own JSON) that decides about web identities. */
export type TrustPolicy = {
  readonly Version: '2012-10-17'
  readonly Statement: readonly TrustStatement[]
}

export type TrustStatement = {
  readonly Effect: 'Allow' | 'Deny'
  /** `arn:aws:iam::<account>:oidc-provider/<issuer without scheme>` */
  readonly Principal: { readonly Federated: string | readonly string[] }
  readonly Action: string | readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}

const action = 'sts:AssumeRoleWithWebIdentity'

/** `<issuer without scheme>`, as IAM names a provider in ARNs and in condition keys. */
export function providerName(issuer: string): string {
  return issuer.replace(/^https?:\/\//, '')
}

/** For one audience and subjects that may hold `*` and `?`: both conditions, as AWS recommends. */
export function trustPolicyFor(
  accountId: string,
  issuer: string,
  audience: string,
  subjects: readonly string[],
): TrustPolicy {
  const provider = providerName(issuer)
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Federated: `arn:aws:iam::${accountId}:oidc-provider/${provider}` },
        Action: action,
        Condition: {
          StringEquals: { [`${provider}:aud`]: audience },
          StringLike: { [`${provider}:sub`]: subjects },
        },
      },
    ],
  }
}

/** Whether the policy lets a verified token in: a matching Allow and no matching Deny. */
export function permits(
  policy: TrustPolicy,
  providerArn: string,
  provider: string,
  claims: { readonly aud: readonly string[]; readonly sub: string },
): boolean {
  const values: Record<string, readonly string[]> = {
    [`${provider}:aud`]: claims.aud,
    [`${provider}:sub`]: [claims.sub],
  }
  const matching = policy.Statement.filter(
    (statement) =>
      list(statement.Principal.Federated).includes(providerArn) &&
      list(statement.Action).some((pattern) => like(pattern, action)) &&
      Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
        Object.entries(keys).every(([key, wanted]) => holds(operator, values[key] ?? [], list(wanted))),
      ),
  )
  return matching.some(({ Effect }) => Effect === 'Allow') && !matching.some(({ Effect }) => Effect === 'Deny')
}

function holds(operator: string, actual: readonly string[], wanted: readonly string[]): boolean {
  switch (operator) {
    case 'StringEquals':
      return actual.some((value) => wanted.includes(value))
    case 'StringLike':
      return actual.some((value) => wanted.some((pattern) => like(pattern, value)))
    default:
      throw new Error(`the AWS STS stand-in does not know the condition operator ${operator}`)
  }
}

/** IAM's patterns: `*` any characters, `?` exactly one, the rest literal and case-sensitive. */
function like(pattern: string, value: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's').test(value)
}

function list(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value
}
