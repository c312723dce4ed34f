import type { ErrorCode } from '../errors/error-codes.ts'
import type { Log } from '../observability/log.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

/** What the callout service decided about one client of NATS. Never holds what was shown. */
export type NatsAuditEvent = AboutClient &
  (
    | {
        readonly kind: 'granted'
        readonly spiffeId: SpiffeId
        readonly by: 'jwt' | 'x509'
        readonly account: string
        readonly expiresAt: Date
        /** See `tokenIdOf`; absent where a certificate was shown. */
        readonly tokenId?: string
      }
    | {
        readonly kind: 'refused'
        readonly code: ErrorCode
        readonly reason: string
      } /** The server was told to end its connection: SPIRE has no entry for it any more. */
    | { readonly kind: 'ended'; readonly spiffeId: SpiffeId }
  )

type AboutClient = {
  /** Its address, and what it calls itself: nothing to believe. */
  readonly client: { readonly host: string; readonly name: string }
  /** Name of the NATS server that asked. */
  readonly server: string
}

/** Where decisions are told. Must not throw; must not wait. */
export type NatsAuditSink = (event: NatsAuditEvent) => void

/** One log record for each, `audit.nats.<kind>`. */
export function auditNatsToLog(log: Log): NatsAuditSink {
  return ({ kind, ...about }) => {
    const record = { event: `audit.nats.${kind}`, ...about }
    if (kind === 'granted') log.info(record, 'a client may connect to NATS')
    else
      log.warn(record, kind === 'ended' ? 'a connection to NATS is ended: its entry is gone' : 'a client was refused')
  }
}
