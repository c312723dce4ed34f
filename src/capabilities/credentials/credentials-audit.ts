import type { ErrorCode } from '../../errors/error-codes.ts'
import type { Binding } from '../../federation/binding.ts'
import type { AuditedComponent } from '../../identity/audit.ts'
import type { Log } from '../../observability/log.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'

type AboutBinding = {
  readonly component: AuditedComponent
  readonly binding: string
  readonly provider: Binding['provider']
  readonly audience: string
}

/** What happened with credentials. Never holds one, nor a token. */
export type CredentialsAuditEvent =
  | (AboutBinding & {
      readonly kind: 'exchanged' | 'renewed'
      readonly spiffeId: SpiffeId
      /** Of the JWT-SVID that was traded: ties this event to the identity's own. */
      readonly tokenId: string
      readonly expiresAt: Date
    })
  | (AboutBinding & { readonly kind: 'evicted'; readonly reason: string })
  | (AboutBinding & { readonly kind: 'delivered'; readonly count: number })
  | (AboutBinding & { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string })
  | { readonly kind: 'unknown-binding'; readonly component: AuditedComponent; readonly count: number }

/** Where audit events go. Must not throw; must not wait. */
export type CredentialsAuditSink = (event: CredentialsAuditEvent) => void

/** One log record per event, `audit.credentials.<kind>`; refusals are warnings. */
export function auditCredentialsToLog(log: Log): CredentialsAuditSink {
  return ({ kind, ...event }) => {
    const record = { event: `audit.credentials.${kind}`, ...event }
    if (kind === 'refused' || kind === 'unknown-binding') log.warn(record, `credentials ${kind}`)
    else log.info(record, `credentials ${kind}`)
  }
}
