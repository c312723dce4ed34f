import { auditCallsToLog, type CallsAuditEvent, type CallsAuditSink } from '../capabilities/calls/calls-audit.ts'
import {
  auditCredentialsToLog,
  type CredentialsAuditEvent,
  type CredentialsAuditSink,
} from '../capabilities/credentials/credentials-audit.ts'
import { auditEgressToLog, type EgressAuditEvent, type EgressAuditSink } from '../capabilities/egress/egress-audit.ts'
import {
  auditHeraldIdentityToLog,
  type HeraldIdentityAuditEvent,
  type HeraldIdentityAuditSink,
} from '../capabilities/herald-identity/herald-identity-audit.ts'
import { type AuditSink, auditToLog, type IdentityAuditEvent } from '../identity/audit.ts'
import type { Log } from '../observability/log.ts'

/** An event of one of the sinks. */
export type TrailEvent =
  | { readonly area: 'identity'; readonly event: IdentityAuditEvent }
  | { readonly area: 'credentials'; readonly event: CredentialsAuditEvent }
  | { readonly area: 'egress'; readonly event: EgressAuditEvent }
  | { readonly area: 'herald-identity'; readonly event: HeraldIdentityAuditEvent }
  | { readonly area: 'calls'; readonly event: CallsAuditEvent }

/** Where all capabilities of one host tell what happened with identities: the log, and whoever else listens. */
export interface AuditTrail {
  readonly identity: AuditSink
  readonly credentials: CredentialsAuditSink
  readonly egress: EgressAuditSink
  readonly heraldIdentity: HeraldIdentityAuditSink
  readonly calls: CallsAuditSink
  /** Listeners neither throw nor wait. */
  onEvent(listener: (event: TrailEvent) => void): void
}

export function createAuditTrail(log: Log): AuditTrail {
  const listeners: ((event: TrailEvent) => void)[] = []
  const tell = (event: TrailEvent): void => {
    for (const listener of listeners) listener(event)
  }
  const toLog = {
    identity: auditToLog(log),
    credentials: auditCredentialsToLog(log),
    egress: auditEgressToLog(log),
    heraldIdentity: auditHeraldIdentityToLog(log),
    calls: auditCallsToLog(log),
  }
  return {
    identity(event) {
      toLog.identity(event)
      tell({ area: 'identity', event })
    },
    credentials(event) {
      toLog.credentials(event)
      tell({ area: 'credentials', event })
    },
    egress(event) {
      toLog.egress(event)
      tell({ area: 'egress', event })
    },
    heraldIdentity(event) {
      toLog.heraldIdentity(event)
      tell({ area: 'herald-identity', event })
    },
    calls(event) {
      toLog.calls(event)
      tell({ area: 'calls', event })
    },
    onEvent: (listener) => void listeners.push(listener),
  }
}
