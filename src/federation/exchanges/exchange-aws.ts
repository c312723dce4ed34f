import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import { pathOf } from '../../spiffe/spiffe-id.ts'
import { sha256Hex, signAws } from '../aws-signature.ts'
import type { BindingOf } from '../binding.ts'
import { type CredentialSecret, Credentials } from '../credentials.ts'
import type { ExchangeContext } from '../exchange.ts'
import { onlyElement } from './aws-query-answer.ts'
import { refused, unavailable, unusable } from './federation-errors.ts'
import { type BoundedAnswer, sendBounded } from './send-bounded.ts'
import { TryAgain, usualPatienceMs, withRetries } from './with-retries.ts'

const party = 'AWS STS'
type AwsKeys = Extract<CredentialSecret, { kind: 'aws' }>
type Context = ExchangeContext

/** `AssumeRoleWithWebIdentity`, then `AssumeRole` for each role of the chain (AWS STS API reference, version 2011-06-15). */
export async function exchangeAws(binding: BindingOf<'aws'>, svid: JwtSvid, context: Context): Promise<Credentials> {
  const sessionName = binding['session-name'] ?? sessionNameFor(svid)
  let credentials = await assume(
    binding,
    {
      Action: 'AssumeRoleWithWebIdentity',
      RoleArn: binding['role-arn'],
      RoleSessionName: sessionName,
      DurationSeconds: String(binding['duration-s']),
      WebIdentityToken: svid.reveal(),
    },
    undefined,
    context,
  )
  for (const roleArn of binding['chain-role-arns']) {
    const parameters: Record<string, string> = {
      Action: 'AssumeRole',
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      // AWS: a chained role's session lasts an hour at most.
      DurationSeconds: String(Math.min(binding['duration-s'], 3600)),
      ...(binding['external-id'] !== undefined && { ExternalId: binding['external-id'] }),
    }
    binding['session-tags'].forEach((tag, index) => {
      const equals = tag.indexOf('=')
      parameters[`Tags.member.${index + 1}.Key`] = tag.slice(0, equals)
      parameters[`Tags.member.${index + 1}.Value`] = tag.slice(equals + 1)
    })
    credentials = await assume(binding, parameters, credentials.reveal() as AwsKeys, context)
  }
  return credentials
}

/** `default.api-gateway`: what CloudTrail shows. The path's end says most, so that is what is kept. */
export function sessionNameFor(svid: JwtSvid): string {
  return `herald-${pathOf(svid.spiffeId).slice(1).replaceAll('/', '.').slice(-57)}`
}

async function assume(
  binding: BindingOf<'aws'>,
  parameters: Record<string, string>,
  signer: AwsKeys | undefined,
  context: Context,
): Promise<Credentials> {
  const url = binding['sts-endpoint'] ?? stsEndpointOf(binding.region)
  const body = new URLSearchParams({ ...parameters, Version: '2011-06-15' }).toString()
  return withRetries(async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/xml' }
    const signature =
      signer === undefined
        ? {}
        : signAws({ method: 'POST', url: new URL(url), headers, bodySha256: sha256Hex(body) }, signer, {
            region: binding.region,
            service: 'sts',
            nowMs: context.clock.nowMs(),
          })
    const answer = await sendBounded(
      { party, url, method: 'POST', headers: { ...headers, ...signature }, body },
      context,
    )
    if (answer.status !== 200) throw fromStsError(answer)
    return readCredentials(answer.text, binding, context)
  }, context)
}

function stsEndpointOf(region: string): string {
  return `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/`
}

function readCredentials(xml: string, binding: BindingOf<'aws'>, { clock }: Context): Credentials {
  const [accessKeyId, secretAccessKey, sessionToken, expiration] = (
    [
      ['AccessKeyId', /^\w{16,128}$/],
      ['SecretAccessKey', /^[\x21-\x7e]{16,256}$/],
      ['SessionToken', /^[\x21-\x7e]{1,32768}$/],
      ['Expiration', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/],
    ] as const
  ).map(([name, form]) => {
    const value = onlyElement(xml, name)
    if (value === undefined || !form.test(value)) throw unusable(party, `it has no usable ${name}`)
    return value
  }) as [string, string, string, string]
  const expiresAt = new Date(expiration)
  const leftMs = expiresAt.getTime() - clock.nowMs()
  // A clock difference may add to what was asked for, but hours more cannot be meant.
  if (!(leftMs > 0) || leftMs > (binding['duration-s'] + 3600) * 1000) {
    throw unusable(party, 'the credentials expire at a time that was not asked for')
  }
  return new Credentials({ kind: 'aws', accessKeyId, secretAccessKey, sessionToken, region: binding.region }, expiresAt)
}

/** AWS's own codes: what is refused, what passes. */
function fromStsError({ status, text, retryAfterMs }: BoundedAnswer): Error {
  const code = onlyElement(text, 'Code') ?? `HTTP ${status}`
  const message = onlyElement(text, 'Message') ?? ''
  if (
    status >= 500 ||
    status === 429 ||
    /^(Throttling|ThrottlingException|RequestLimitExceeded|SlowDown)$/.test(code)
  ) {
    return new TryAgain(unavailable(party, `${code} ${message}`), {
      afterMs: retryAfterMs,
      patienceMs: usualPatienceMs,
    })
  }
  const error = refused(party, code, message, {
    hint: hints[code] ?? 'Find the cause with: herald identity explain WORKLOAD --for aws',
  })
  // "Retry the request a limited number of times" (API reference).
  return code === 'IDPCommunicationError' ? new TryAgain(error, { patienceMs: usualPatienceMs }) : error
}

const hints: Readonly<Record<string, string>> = {
  AccessDenied: "Compare the role's trust policy with: herald trust aws",
  ExpiredTokenException: 'Compare the clocks of the SPIRE server and of this machine.',
  IDPCommunicationError: "AWS must reach the issuer's /.well-known/openid-configuration over the internet.",
}
