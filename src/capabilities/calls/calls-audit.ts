import type { AuditedComponent } from '../../identity/audit.ts'
import type { Log } from '../../observability/log.ts'

type AboutCalls = {
  /** Whose host tells it: the caller in `called` and `refused`, the callee in `denied`. */
  readonly component: AuditedComponent
  /** SPIFFE ID of the other one; empty where it could not be believed. */
  readonly target: string
  /** Calls since the last event of this kind; the first is told at once. */
  readonly count: number
}

/** What happened with calls between workloads. Never holds a token, an argument or a result. */
export type CallsAuditEvent = AboutCalls &
  (
    | { readonly kind: 'called' }
    /** The callee would not have it, or was not there. */
    | { readonly kind: 'refused'; readonly reason: string }
    /** This component was called by one that may not. */
    | { readonly kind: 'denied'; readonly code: string; readonly reason: string }
  )

/** Where audit events go. Must not throw; must not wait. */
export type CallsAuditSink = (event: CallsAuditEvent) => void

/** One log record per event, `audit.calls.<kind>`; refusals are warnings. */
export function auditCallsToLog(log: Log): CallsAuditSink {
  return ({ kind, ...event }) => {
    const record = { event: `audit.calls.${kind}`, ...event }
    if (kind === 'called') log.info(record, 'another component was called')
    else log.warn(record, kind === 'denied' ? 'a call of another component was refused' : 'a call was not answered')
  }
}

type WithoutCount<Event> = Event extends CallsAuditEvent ? Omit<Event, 'component' | 'count'> : never
type Happened = WithoutCount<CallsAuditEvent>

/** Who calls is the network's to choose: more different events than that are not told before the next gathering. */
const maxHeld = 256

/** Turns single calls into events: the first of a kind is told at once, those that follow are counted until they are gathered. */
export class CallTally {
  readonly #component: AuditedComponent
  readonly #audit: CallsAuditSink
  readonly #held = new Map<string, { readonly event: Happened; count: number }>()

  constructor(component: AuditedComponent, audit: CallsAuditSink) {
    this.#component = component
    this.#audit = audit
  }

  add(event: Happened): void {
    const { kind, target, code = '', reason = '' } = { code: undefined, reason: undefined, ...event }
    const key = `${kind} ${target} ${code} ${reason}`
    const held = this.#held.get(key)
    if (held !== undefined) {
      held.count += 1
      return
    }
    if (this.#held.size >= maxHeld) return
    this.#held.set(key, { event, count: 0 })
    this.#tell(event, 1)
  }

  gather(): void {
    for (const [key, { event, count }] of this.#held) {
      this.#held.delete(key)
      if (count === 0) continue
      this.#held.set(key, { event, count: 0 })
      this.#tell(event, count)
    }
  }

  #tell(event: Happened, count: number): void {
    this.#audit({ ...event, component: this.#component, count } as CallsAuditEvent)
  }
}
