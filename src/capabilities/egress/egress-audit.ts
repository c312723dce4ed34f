import type { ErrorCode } from '../../errors/error-codes.ts'
import type { AuditedComponent } from '../../identity/audit.ts'
import type { Log } from '../../observability/log.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'

type AboutSigning = {
  readonly component: AuditedComponent
  /** Name of the entry. */
  readonly entry: string
  readonly origin: string
  readonly method: 'bearer' | 'sigv4' | 'client-certificate'
  /** Of the token that is sent or traded; with a client certificate the origin. */
  readonly audience: string
}

/** What happened with requests that the host signs. Never holds a credential, a path or a field of a request. */
export type EgressAuditEvent = AboutSigning &
  (
    | {
        readonly kind: 'exchanged' | 'renewed'
        readonly spiffeId: SpiffeId
        /** Of the JWT-SVID: ties this event to the identity's own. */
        readonly tokenId: string
        readonly expiresAt: Date
      }
    | { readonly kind: 'evicted'; readonly reason: string }
    /** Requests signed since the last event of this kind; the first is told at once. */
    | { readonly kind: 'signed'; readonly count: number; readonly credentialId: string }
    /** What was sent with it was answered 401. */
    | { readonly kind: 'rejected'; readonly credentialId: string }
    /** Not signed, and so not sent. */
    | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string; readonly count: number }
  )

/** Where audit events go. Must not throw; must not wait. */
export type EgressAuditSink = (event: EgressAuditEvent) => void

/** One log record per event, `audit.egress.<kind>`; refusals are warnings. */
export function auditEgressToLog(log: Log): EgressAuditSink {
  return ({ kind, ...event }) => {
    const record = { event: `audit.egress.${kind}`, ...event }
    if (kind === 'refused' || kind === 'rejected') log.warn(record, `outgoing requests ${kind}`)
    else log.info(record, `outgoing requests ${kind}`)
  }
}
