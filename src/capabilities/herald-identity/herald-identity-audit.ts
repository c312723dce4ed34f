import type { AuditedComponent } from '../../identity/audit.ts'
import type { Log } from '../../observability/log.ts'

/** Uses of `herald:identity` since the last event of the kind. Never holds a token, a key or what was signed. */
export type HeraldIdentityAuditEvent = { readonly component: AuditedComponent; readonly count: number } & (
  | { readonly kind: 'signed'; readonly spiffeId: string }
  | { readonly kind: 'certificates'; readonly spiffeId: string }
  /** Tokens of others that the component had verified. */
  | { readonly kind: 'verified' }
  | { readonly kind: 'unverified' | 'refused'; readonly code: string }
)

/** Where audit events go. Must not throw; must not wait. */
export type HeraldIdentityAuditSink = (event: HeraldIdentityAuditEvent) => void

/** One log record per event, `audit.identity.<kind>`; refusals are warnings. */
export function auditHeraldIdentityToLog(log: Log): HeraldIdentityAuditSink {
  return ({ kind, ...event }) => {
    const record = { event: `audit.identity.${kind}`, ...event }
    if (kind === 'refused' || kind === 'unverified') log.warn(record, `identity ${kind}`)
    else log.info(record, `identity ${kind}`)
  }
}

/** Counts uses: the first of a kind is an event at once, those that follow are one event at the next gathering. */
export class UseCounts {
  readonly #sink: (event: HeraldIdentityAuditEvent) => void
  readonly #counts = new Map<string, { readonly event: HeraldIdentityAuditEvent; count: number }>()

  constructor(sink: HeraldIdentityAuditSink) {
    this.#sink = sink
  }

  add(event: HeraldIdentityAuditEvent): void {
    const { component: _, count: __, ...about } = event
    const key = JSON.stringify(about)
    const known = this.#counts.get(key)
    if (known !== undefined) {
      known.count += 1
      return
    }
    this.#counts.set(key, { event, count: 0 })
    this.#sink(event)
  }

  gather(): void {
    for (const { event, count } of this.#counts.values()) if (count > 0) this.#sink({ ...event, count })
    this.#counts.clear()
  }
}
