import { auditNatsToLog, type NatsAuditEvent, type NatsAuditSink } from '../callout/callout-audit.ts'
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
import type { AuditFeed } from '../control/herald-audit-feed.ts'
import { type AuditSink, auditToLog, type IdentityAuditEvent } from '../identity/audit.ts'
import type { Log } from '../observability/log.ts'

/** An event of one of the sinks. */
export type TrailEvent =
  | { readonly area: 'identity'; readonly event: IdentityAuditEvent }
  | { readonly area: 'credentials'; readonly event: CredentialsAuditEvent }
  | { readonly area: 'egress'; readonly event: EgressAuditEvent }
  | { readonly area: 'herald-identity'; readonly event: HeraldIdentityAuditEvent }
  | { readonly area: 'calls'; readonly event: CallsAuditEvent }
  | { readonly area: 'nats'; readonly event: NatsAuditEvent }

/** Where all capabilities of one host, or a callout service, tell what happened with identities: the log, and whoever else listens. */
export interface AuditTrail {
  readonly identity: AuditSink
  readonly credentials: CredentialsAuditSink
  readonly egress: EgressAuditSink
  readonly heraldIdentity: HeraldIdentityAuditSink
  readonly calls: CallsAuditSink
  readonly nats: NatsAuditSink
  /** Listeners neither throw nor wait. */
  onEvent(listener: (event: TrailEvent) => void): void
}

export function createAuditTrail(log: Log): AuditTrail {
  const listeners: ((event: TrailEvent) => void)[] = []
  const sink = <Event extends TrailEvent['event']>(
    toLog: (event: Event) => void,
    told: (event: Event) => TrailEvent,
  ) => {
    return (event: Event): void => {
      toLog(event)
      const trailed = told(event)
      for (const listener of listeners) listener(trailed)
    }
  }
  return {
    identity: sink(auditToLog(log), (event) => ({ area: 'identity', event })),
    credentials: sink(auditCredentialsToLog(log), (event) => ({ area: 'credentials', event })),
    egress: sink(auditEgressToLog(log), (event) => ({ area: 'egress', event })),
    heraldIdentity: sink(auditHeraldIdentityToLog(log), (event) => ({ area: 'herald-identity', event })),
    calls: sink(auditCallsToLog(log), (event) => ({ area: 'calls', event })),
    nats: sink(auditNatsToLog(log), (event) => ({ area: 'nats', event })),
    onEvent: (listener) => void listeners.push(listener),
  }
}

/** Passes an event on to those who ask over NATS. */
export function feedAudit(feed: Pick<AuditFeed, 'add'>, { area, event }: TrailEvent): void {
  if (area !== 'nats') {
    feed.add(area === 'herald-identity' ? 'identity' : area, event)
    return
  }
  const { client, ...rest } = event
  feed.add(area, {
    ...rest,
    client: `${client.host} ${client.name}`.trim(),
    ...('account' in event && { target: event.account, method: event.by }),
  })
}
