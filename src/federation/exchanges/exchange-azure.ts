import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { BindingOf } from '../binding.ts'
import type { Credentials } from '../credentials.ts'
import type { ExchangeContext } from '../exchange.ts'
import { refused, unavailable } from './federation-errors.ts'
import { oauthError, readBearer } from './oauth-answer.ts'
import { type BoundedAnswer, sendBounded } from './send-bounded.ts'
import { TryAgain, usualPatienceMs, withRetries } from './with-retries.ts'

const party = 'Microsoft Entra'
/** A federated credential that was just made is not known everywhere for minutes: AADSTS70021. */
const propagationPatienceMs = 120_000

/** Microsoft identity platform, OAuth 2.0 client credentials flow with a federated credential. */
export function exchangeAzure(
  binding: BindingOf<'azure'>,
  svid: JwtSvid,
  context: ExchangeContext,
): Promise<Credentials> {
  return withRetries(async () => {
    const answer = await sendBounded(
      {
        party,
        url: `${binding.authority.replace(/\/$/, '')}/${binding['tenant-id']}/oauth2/v2.0/token`,
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: binding['client-id'],
          scope: binding.scope,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: svid.reveal(),
        }).toString(),
      },
      context,
    )
    if (answer.status !== 200) throw fromEntraError(answer)
    return readBearer(party, answer.text, context)
  }, context)
}

function fromEntraError({ status, text, retryAfterMs }: BoundedAnswer): Error {
  const { code, description } = oauthError(text)
  const number = /^AADSTS(\d{4,9})\b/.exec(description)?.[1]
  if (status >= 500 || status === 429) {
    return new TryAgain(unavailable(party, `HTTP ${status} ${code}`), {
      afterMs: retryAfterMs,
      patienceMs: usualPatienceMs,
    })
  }
  // Only the first line says what it is; after it come trace ids.
  const error = refused(party, code || `HTTP ${status}`, description.split(/\r?\n/)[0] ?? '', {
    hint: hints[number ?? ''] ?? 'Find the cause with: herald identity explain WORKLOAD --for azure',
  })
  return number === '70021' ? new TryAgain(error, { patienceMs: propagationPatienceMs }) : error
}

const hints: Readonly<Record<string, string>> = {
  '70021':
    'No federated credential matches yet. A new one takes minutes; compare issuer and subject with: herald trust azure',
  '700211': "The issuer differs from the federated credential's: herald trust azure prints what it must be.",
  '700212': "The audience differs from the federated credential's: herald trust azure prints what it must be.",
  '700213': "The subject differs from the federated credential's: herald trust azure prints what it must be.",
}
