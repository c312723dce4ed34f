import type { NatsAuditEvent } from '../callout/callout-audit.ts'
import type { CredentialsAuditEvent } from '../capabilities/credentials/credentials-audit.ts'
import type { EgressAuditEvent } from '../capabilities/egress/egress-audit.ts'
import type { IdentityAuditEvent } from '../identity/audit.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { TrailEvent } from './audit-trail.ts'

type Counted = Parameters<Metrics['add']>

/** What happened with identities, in the metrics of the host. */
export function countAuditEvent(told: TrailEvent, metrics: Pick<Metrics, 'add'>): void {
  const counted = countedOf(told)
  if (counted !== undefined) metrics.add(...counted)
}

function countedOf(told: TrailEvent): Counted | undefined {
  switch (told.area) {
    case 'identity':
      return ofIdentity(told.event)
    case 'credentials':
      return ofCredentials(told.event)
    case 'egress':
      return ofEgress(told.event)
    case 'nats':
      return ofNats(told.event)
    case 'herald-identity':
      return undefined
  }
}

function ofNats(event: NatsAuditEvent): Counted {
  switch (event.kind) {
    case 'granted':
      return ['herald.callout.grants', 1, { 'herald.callout.shown': event.by }]
    case 'refused':
      return ['herald.callout.refusals', 1, { 'error.type': event.code }]
    case 'ended':
      return ['herald.callout.ended', 1]
  }
}

function ofIdentity(event: IdentityAuditEvent): Counted {
  switch (event.kind) {
    case 'granted':
      return ['herald.identity.deliveries', 1]
    case 'delivered':
      return ['herald.identity.deliveries', event.count]
    case 'renewed':
      return ['herald.svid.renewals', 1]
    case 'evicted':
      return ['herald.svid.evictions', 1, { 'herald.svid.eviction.reason': event.reason }]
    case 'refused':
      return ['herald.identity.refusals', event.count, { 'error.type': event.code }]
  }
}

function ofCredentials(event: CredentialsAuditEvent): Counted | undefined {
  switch (event.kind) {
    case 'exchanged':
    case 'renewed':
      return ['herald.credentials.exchanges', 1, { 'herald.credentials.provider': event.provider }]
    case 'evicted':
      return ['herald.credentials.evictions', 1]
    case 'refused':
      return ['herald.credentials.refusals', 1, { 'error.type': event.code }]
    case 'unknown-binding':
      return ['herald.credentials.refusals', event.count, { 'error.type': 'unknown-binding' }]
    case 'delivered':
      return undefined
  }
}

function ofEgress(event: EgressAuditEvent): Counted | undefined {
  switch (event.kind) {
    case 'signed':
      return ['herald.egress.signed', event.count, { 'herald.egress.method': event.method }]
    case 'refused':
      return ['herald.egress.refusals', event.count, { 'error.type': event.code }]
    case 'rejected':
      return ['herald.egress.rejections', 1, { 'herald.egress.method': event.method }]
    case 'exchanged':
    case 'renewed':
    case 'evicted':
      return undefined
  }
}
