import { createHash } from 'node:crypto'
import type { ErrorCode } from '../errors/error-codes.ts'
import type { Log } from '../observability/log.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { ComponentFacts } from './component-facts.ts'
import type { EvictionReason } from './svid-slot.ts'

/** Whose identity an event is about. */
export type AuditedComponent = {
  readonly lattice: string
  readonly namespace: string
  readonly workload: string
  readonly workloadId: string
  readonly component: string
  readonly imageDigest: string
}

type AboutToken = {
  readonly spiffeId: SpiffeId
  readonly audience: string
  readonly expiresAt: Date
  /** See {@link tokenIdOf}: enough to tell tokens apart, useless as a credential. */
  readonly tokenId: string
}

/** What happened with an identity. Never holds a token, a key or a secret. */
export type IdentityAuditEvent = { readonly component: AuditedComponent } & (
  | /** A token went to the component. */
  ({
      readonly kind: 'granted'
    } & AboutToken) /** The same token went to it again, `count` times since the last event of it. */
  | ({ readonly kind: 'delivered'; readonly count: number } & AboutToken)
  | ({ readonly kind: 'renewed' } & AboutToken)
  | ({ readonly kind: 'evicted'; readonly reason: EvictionReason } & AboutToken)
  | {
      readonly kind: 'refused'
      /** As the guest gave it, cut at 200 characters; absent where `count` stands for many. */
      readonly audience?: string
      readonly code: ErrorCode
      readonly reason: string
      readonly count: number
    }
)

/** Where audit events go. Must not throw; must not wait. */
export type AuditSink = (event: IdentityAuditEvent) => void

/** SHA-256 of the token, its first 16 hex digits. */
export function tokenIdOf(svid: JwtSvid): string {
  return createHash('sha256').update(svid.reveal()).digest('hex').slice(0, 16)
}

export function auditedComponent(facts: ComponentFacts): AuditedComponent {
  return {
    lattice: facts.lattice,
    namespace: facts.namespace,
    workload: facts.workloadName,
    workloadId: facts.workloadId,
    component: facts.componentName,
    imageDigest: facts.imageDigest,
  }
}

/** The part of an audience that may stand in an event: a guest chooses it, and might give the token it was given. */
export function auditedAudience(audience: string): string {
  return withoutTokens(audience).slice(0, 200).toWellFormed()
}

/** Text of others, with what begins like a JWT taken out. */
export function withoutTokens(text: string): string {
  return text.replace(/eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*/g, '(token)')
}

/** The default sink: one log record per event, `audit.identity.<kind>`; refusals are warnings. */
export function auditToLog(log: Log): AuditSink {
  return ({ kind, ...event }) => {
    const record = { event: `audit.identity.${kind}`, ...event }
    if (kind === 'refused') log.warn(record, 'identity refused')
    else log.info(record, `identity ${kind}`)
  }
}
