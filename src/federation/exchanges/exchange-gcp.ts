import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { BindingOf } from '../binding.ts'
import { Credentials } from '../credentials.ts'
import type { ExchangeContext } from '../exchange.ts'
import { refused, unavailable, unusable } from './federation-errors.ts'
import { isBearerToken, oauthError, parseJsonObject, readBearer } from './oauth-answer.ts'
import { sendBounded } from './send-bounded.ts'
import { TryAgain, usualPatienceMs, withRetries } from './with-retries.ts'

const sts = 'Google Cloud STS'
const iam = 'Google Cloud IAM'

/** Security Token Service API v1 `token`, then, with a service account, IAM Credentials API v1 `generateAccessToken`. */
export async function exchangeGcp(
  binding: BindingOf<'gcp'>,
  svid: JwtSvid,
  context: ExchangeContext,
): Promise<Credentials> {
  const federated = await withRetries(async () => {
    const answer = await sendBounded(
      {
        party: sts,
        url: binding['token-endpoint'],
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
        body: new URLSearchParams({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          audience: `//iam.googleapis.com/${binding['workload-identity-provider']}`,
          // With impersonation the federated token needs the right to impersonate, and no more.
          scope: binding['service-account'] === undefined ? binding.scope : 'https://www.googleapis.com/auth/iam',
          requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
          subject_token: svid.reveal(),
        }).toString(),
      },
      context,
    )
    if (answer.status !== 200) {
      const { code, description } = oauthError(answer.text)
      throw failure(sts, answer, code, description)
    }
    return readBearer(sts, answer.text, context)
  }, context)
  return binding['service-account'] === undefined ? federated : impersonate(binding, federated, context)
}

function impersonate(
  binding: BindingOf<'gcp'>,
  federated: Credentials,
  context: ExchangeContext,
): Promise<Credentials> {
  const secret = federated.reveal()
  if (secret.kind !== 'bearer') throw new TypeError('a federated token is a bearer token')
  return withRetries(async () => {
    const answer = await sendBounded(
      {
        party: iam,
        url: `${binding['impersonation-endpoint'].replace(/\/$/, '')}/v1/projects/-/serviceAccounts/${binding['service-account']}:generateAccessToken`,
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secret.token}` },
        body: JSON.stringify({ scope: binding.scope.split(' '), lifetime: `${binding['duration-s']}s` }),
      },
      context,
    )
    const json = parseJsonObject(answer.text)
    if (answer.status !== 200) {
      const error = (json?.error ?? {}) as { status?: unknown; message?: unknown }
      throw failure(iam, answer, `${error?.status ?? ''}`, `${error?.message ?? ''}`)
    }
    const { accessToken, expireTime } = json ?? {}
    if (!isBearerToken(accessToken)) throw unusable(iam, 'it has no usable accessToken')
    const expiresAt = new Date(typeof expireTime === 'string' ? expireTime : Number.NaN)
    const leftMs = expiresAt.getTime() - context.clock.nowMs()
    if (!(leftMs > 0) || leftMs > 86_400_000) throw unusable(iam, 'it has no sensible expireTime')
    return new Credentials({ kind: 'bearer', token: accessToken }, expiresAt)
  }, context)
}

function failure(
  party: string,
  { status, retryAfterMs }: { status: number; retryAfterMs: number | undefined },
  code: string,
  message: string,
): Error {
  if (status >= 500 || status === 429) {
    return new TryAgain(unavailable(party, `HTTP ${status} ${code}`), {
      afterMs: retryAfterMs,
      patienceMs: usualPatienceMs,
    })
  }
  return refused(party, code || `HTTP ${status}`, message, {
    hint: 'Find the cause with: herald identity explain WORKLOAD --for gcp',
  })
}
