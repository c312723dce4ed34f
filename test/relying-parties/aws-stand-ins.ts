import { startAwsBedrockStandIn } from './aws-bedrock-stand-in.ts'
import { startAwsStsStandIn } from './aws-sts-stand-in.ts'
import { TemporaryCredentialStore } from './aws-temporary-credentials.ts'
import { type TrustPolicy, trustPolicyFor } from './aws-trust-policy.ts'

export type AwsStandInsOptions = {
  /** Of the OIDC provider that the account trusts, exactly as in the tokens' `iss`. */
  readonly issuer: string
  /** The provider's client ID and the role's condition on `aud`. */
  readonly audience: string
  /** The role's condition on `sub`: SPIFFE IDs, which may hold `*` and `?`. */
  readonly subjects: readonly string[]
  /** Instead of the policy made of `audience` and `subjects`. */
  readonly trustPolicy?: TrustPolicy
  readonly region?: string
  readonly roleName?: string
  readonly maxSessionS?: number
  /** The stand-ins' clock. */
  readonly nowMs?: () => number
  /** For the discovery document and the keys; for a provider with its own CA. */
  readonly fetch?: typeof globalThis.fetch
  readonly ports?: { readonly sts?: number; readonly bedrock?: number }
  readonly log?: (line: string) => void
}

export type AwsStandIns = AsyncDisposable & {
  readonly stsUrl: string
  readonly bedrockUrl: string
  readonly roleArn: string
  readonly region: string
  readonly credentials: TemporaryCredentialStore
  close(): Promise<void>
}

const accountId = '000000000000'

/** An AWS account of two stand-ins: STS that trusts one OIDC provider with one role, and Bedrock that takes the role's credentials. */
export async function startAwsStandIns(options: AwsStandInsOptions): Promise<AwsStandIns> {
  const {
    issuer,
    audience,
    subjects,
    region = 'us-east-1',
    roleName = 'herald-demo',
    maxSessionS = 3600,
    nowMs = Date.now,
  } = options
  const shared = { nowMs, ...(options.log && { log: options.log }) }
  const credentials = new TemporaryCredentialStore()
  const roleArn = `arn:aws:iam::${accountId}:role/${roleName}`
  const trustPolicy = options.trustPolicy ?? trustPolicyFor(accountId, issuer, audience, subjects)
  const sts = await startAwsStsStandIn({
    ...shared,
    accountId,
    providers: [{ issuer, clientIds: [audience] }],
    roles: [{ arn: roleArn, trustPolicy, maxSessionS }],
    credentials,
    ...(options.fetch && { fetch: options.fetch }),
    ...(options.ports?.sts !== undefined && { port: options.ports.sts }),
  })
  const bedrock = await startAwsBedrockStandIn({
    ...shared,
    region,
    credentials,
    ...(options.ports?.bedrock !== undefined && { port: options.ports.bedrock }),
  })
  const close = async () => {
    await Promise.all([sts.close(), bedrock.close()])
  }
  return { stsUrl: sts.url, bedrockUrl: bedrock.url, roleArn, region, credentials, close, [Symbol.asyncDispose]: close }
}
