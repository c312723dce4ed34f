import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { BindingOf } from '../binding.ts'
import type { Credentials } from '../credentials.ts'
import type { ExchangeContext } from '../exchange.ts'
import { refused, unavailable } from './federation-errors.ts'
import { oauthError, readBearer } from './oauth-answer.ts'
import { sendBounded } from './send-bounded.ts'
import { TryAgain, usualPatienceMs, withRetries } from './with-retries.ts'

const party = 'the token endpoint'
const urn = 'urn:ietf:params:oauth'

/** RFC 8693 with the SVID as subject token, or a client credentials grant in which the SVID authenticates the client (RFC 7523 §2.2). */
export function exchangeOidc(
  binding: BindingOf<'oidc'>,
  svid: JwtSvid,
  context: ExchangeContext,
): Promise<Credentials> {
  const form = new URLSearchParams(binding.grant === 'token-exchange' ? tokenExchange(svid) : assertion(binding, svid))
  for (const [name, value] of [
    ['client_id', binding['client-id']],
    ['audience', binding['target-audience']],
    ['resource', binding.resource],
    ['scope', binding.scope],
  ] as const) {
    if (value !== undefined) form.set(name, value)
  }
  return withRetries(async () => {
    const answer = await sendBounded(
      {
        party,
        url: binding['token-endpoint'],
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
        body: form.toString(),
      },
      context,
    )
    if (answer.status === 200) return readBearer(party, answer.text, context)
    const { code, description } = oauthError(answer.text)
    if (answer.status >= 500 || answer.status === 429) {
      throw new TryAgain(unavailable(party, `HTTP ${answer.status} ${code}`), {
        afterMs: answer.retryAfterMs,
        patienceMs: usualPatienceMs,
      })
    }
    throw refused(party, code || `HTTP ${answer.status}`, description, {
      hint: 'Find the cause with: herald identity explain WORKLOAD --for oidc',
    })
  }, context)
}

function tokenExchange(svid: JwtSvid): Record<string, string> {
  return {
    grant_type: `${urn}:grant-type:token-exchange`,
    subject_token: svid.reveal(),
    subject_token_type: `${urn}:token-type:jwt`,
    requested_token_type: `${urn}:token-type:access_token`,
  }
}

function assertion(binding: BindingOf<'oidc'>, svid: JwtSvid): Record<string, string> {
  return {
    grant_type: 'client_credentials',
    client_assertion_type: `${urn}:client-assertion-type:${binding['client-assertion']}`,
    client_assertion: svid.reveal(),
  }
}
