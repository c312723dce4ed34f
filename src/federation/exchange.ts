import type { Clock } from '../clock/clock.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import type { Binding } from './binding.ts'
import { Credentials, type Exchanged } from './credentials.ts'
import { exchangeAws } from './exchanges/exchange-aws.ts'
import { exchangeAzure } from './exchanges/exchange-azure.ts'
import { exchangeGcp } from './exchanges/exchange-gcp.ts'
import { exchangeOidc } from './exchanges/exchange-oidc.ts'
import { exchangeVault } from './exchanges/exchange-vault.ts'

export type ExchangeContext = {
  /** Follows no redirect on its own; the exchanges ask for that. */
  readonly fetch: typeof globalThis.fetch
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * Trades a JWT-SVID for what the binding names. Tries again where the party's fault passes (throttling, 5xx, a federated credential of
 * Entra that is not yet known everywhere), until the signal aborts. No error holds the token or anything the party gave.
 * @throws ERR_FEDERATION_REFUSED · ERR_FEDERATION_UNAVAILABLE · ERR_FEDERATION_ANSWER_INVALID · the signal's reason
 */
export async function exchange(binding: Binding, svid: JwtSvid, context: ExchangeContext): Promise<Exchanged> {
  switch (binding.provider) {
    case 'aws':
      return { credentials: await exchangeAws(binding, svid, context), lease: undefined }
    case 'gcp':
      return { credentials: await exchangeGcp(binding, svid, context), lease: undefined }
    case 'azure':
      return { credentials: await exchangeAzure(binding, svid, context), lease: undefined }
    case 'oidc':
      return { credentials: await exchangeOidc(binding, svid, context), lease: undefined }
    case 'vault':
      return exchangeVault(binding, svid, context)
    case 'jwt-svid':
      return {
        credentials: new Credentials({ kind: 'bearer', token: svid.reveal() }, svid.expiresAt),
        lease: undefined,
      }
  }
}
