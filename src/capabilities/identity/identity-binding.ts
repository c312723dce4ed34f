import type { ErrorCode } from '../../errors/error-codes.ts'
import { type HeraldError, isHeraldError } from '../../errors/herald-error.ts'
import {
  type AuditedComponent,
  type AuditSink,
  auditedAudience,
  auditedComponent,
  tokenIdOf,
} from '../../identity/audit.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { AudienceSvidChange } from '../../identity/component-svids.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import { type ActiveSpan, codeOf, measured, type Tracer } from '../../observability/tracer.ts'
import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { componentAttributes } from '../component-attributes.ts'
import { type IdentityAnswer, type IdentityCellConfig, type IdentityPush, storeErrorOf } from './identity-answer.ts'
import type { IdentityConfig } from './identity-config.ts'
import { SharedSlots } from './shared-slots.ts'

export type IdentityBindingOptions = {
  readonly component: ComponentFacts
  readonly config: IdentityConfig
  readonly identity: ComponentIdentity
  readonly audit: AuditSink
  readonly log: Log
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
  readonly onRelease: () => void
}

type GetSpan = ActiveSpan<'herald.token.get'> | undefined

/** One component's `wasmcloud:identity` on the control thread: allow-list, audit, and news of renewals and evictions for its cells. */
export class IdentityBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'identity-cell')
  readonly config: IdentityCellConfig
  readonly #options: IdentityBindingOptions
  readonly #component: AuditedComponent
  readonly #slots: SharedSlots
  /** The token that the cells hand out now, by slot: what deliveries are counted for. */
  readonly #granted: (JwtSvid | undefined)[]
  readonly #refusals = new Map<number, { readonly code: ErrorCode; readonly reason: string; count: number }>()
  #send: ((message: unknown) => void) | undefined
  #released = false

  constructor(options: IdentityBindingOptions) {
    this.#options = options
    this.#component = auditedComponent(options.component)
    const { audiences } = options.config
    this.#slots = SharedSlots.create(audiences.length)
    this.config = { audiences, shared: this.#slots.buffer }
    this.#granted = audiences.map(() => undefined)
    options.identity.onChange((change) => this.#onChange(change))
  }

  attach(send: (message: unknown) => void): void {
    this.#send = send
  }

  async handle(method: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    if (method === 'get') return this.#get(payload, signal)
    if (method === 'refused') return this.#traced(undefined, async (span) => this.#refused(payload, span))
    throw new TypeError(`wasmcloud:identity has no method ${JSON.stringify(method.slice(0, 40))}`)
  }

  async #get(payload: unknown, signal: AbortSignal): Promise<IdentityAnswer> {
    // The slot is checked here as well: the allow-list is the control thread's to enforce.
    const slot = typeof payload === 'number' && Number.isInteger(payload) ? payload : -1
    const audience = this.#options.config.audiences[slot]
    if (audience === undefined) throw new TypeError('wasmcloud:identity: no such slot')
    return this.#traced(audience, (span) => this.#fetch(slot, audience, signal, span))
  }

  #traced<T>(audience: string | undefined, work: (span: GetSpan) => Promise<T>): Promise<T> {
    const { tracer, component } = this.#options
    const about = { ...componentAttributes(component), 'herald.audience': audience }
    return measured(tracer, 'herald.token.get', about, work)
  }

  async #fetch(slot: number, audience: string, signal: AbortSignal, span: GetSpan): Promise<IdentityAnswer> {
    const epoch = this.#slots.epoch(slot)
    try {
      const { svid, usableUntilMs } = await this.#options.identity.fetchJwtSvid([audience], { signal })
      this.#grant(slot, audience, svid)
      // With the epoch from before: if it rose meanwhile, the cell will ask again at the next call.
      return { kind: 'granted', token: svid.reveal(), usableUntilMs, epoch }
    } catch (error) {
      if (signal.aborted) throw error
      this.#auditRefusal(slot, audience, error)
      span?.failed(codeOf(error))
      return { kind: 'refused', error: storeErrorOf(error) }
    }
  }

  #grant(slot: number, audience: string, svid: JwtSvid): void {
    if (this.#granted[slot] === svid) {
      // Another cell, or a cell that began anew, got the same token.
      this.#slots.countDelivery(slot)
      return
    }
    this.#gatherSlot(slot)
    this.#granted[slot] = svid
    this.#options.audit({ kind: 'granted', component: this.#component, ...aboutToken(svid, audience) })
  }

  /** The first refusal of a kind is an event at once, those that follow are counted until the next gathering. */
  #auditRefusal(slot: number, audience: string, error: unknown): void {
    const { audit, log } = this.#options
    if (!isHeraldError(error)) log.error({ event: 'identity.failed', err: error }, 'fetching an identity failed')
    const { code, reason } = isHeraldError(error)
      ? { code: error.code, reason: describe(error) }
      : { code: 'ERR_INTERNAL' as const, reason: 'a defect in the host' }
    const repeated = this.#refusals.get(slot)
    if (repeated?.code === code) {
      repeated.count += 1
      return
    }
    this.#gatherRefusals(slot)
    this.#refusals.set(slot, { code, reason, count: 0 })
    audit({ kind: 'refused', component: this.#component, audience: auditedAudience(audience), code, reason, count: 1 })
  }

  #gatherRefusals(slot: number): void {
    const repeated = this.#refusals.get(slot)
    this.#refusals.delete(slot)
    if (repeated === undefined || repeated.count === 0) return
    const audience = auditedAudience(this.#options.config.audiences[slot] ?? '')
    this.#options.audit({ kind: 'refused', component: this.#component, audience, ...repeated })
  }

  #refused(payload: unknown, span: GetSpan): void {
    span?.failed('ERR_AUDIENCE_NOT_ALLOWED')
    if (typeof payload !== 'string') throw new TypeError('wasmcloud:identity: an audience is a text')
    this.#options.audit({
      kind: 'refused',
      component: this.#component,
      audience: auditedAudience(payload),
      code: 'ERR_AUDIENCE_NOT_ALLOWED',
      reason: "not in the audiences of the workload's hostInterfaces entry",
      count: 1,
    })
  }

  #onChange(change: AudienceSvidChange): void {
    const { audiences } = this.#options.config
    const [audience = ''] = change.audiences
    const slot = change.audiences.length === 1 ? audiences.indexOf(audience) : -1
    if (slot === -1) return
    // Raised in any case: an answer that is on its way to a cell was made at the epoch before.
    const epoch = this.#slots.raiseEpoch(slot)
    // What these cells never got is no other news for them.
    if (this.#granted[slot] === undefined) return
    this.#gatherSlot(slot)
    const about = { component: this.#component, ...aboutToken(change.svid, audience) }
    if (change.kind === 'evicted') {
      this.#granted[slot] = undefined
      this.#options.audit({ kind: 'evicted', reason: change.reason, ...about })
      return
    }
    this.#granted[slot] = change.svid
    const push: IdentityPush = { slot, token: change.svid.reveal(), usableUntilMs: change.usableUntilMs, epoch }
    this.#send?.(push)
    this.#options.audit({ kind: 'renewed', ...about })
  }

  /** Turns what the cells have counted since the last time into audit events. */
  gather(): void {
    for (const slot of this.#granted.keys()) {
      this.#gatherSlot(slot)
      this.#gatherRefusals(slot)
    }
    const count = this.#slots.takeRefusals()
    if (count === 0) return
    const reason = 'audiences that are not allowed, refused before or too many to tell apart'
    this.#options.audit({
      kind: 'refused',
      component: this.#component,
      code: 'ERR_AUDIENCE_NOT_ALLOWED',
      reason,
      count,
    })
  }

  #gatherSlot(slot: number): void {
    const svid = this.#granted[slot]
    if (svid === undefined) return
    const count = this.#slots.takeDeliveries(slot)
    if (count === 0) return
    const audience = this.#options.config.audiences[slot] ?? ''
    this.#options.audit({ kind: 'delivered', component: this.#component, count, ...aboutToken(svid, audience) })
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.gather()
    for (const slot of this.#granted.keys()) this.#slots.raiseEpoch(slot)
    this.#granted.fill(undefined)
    this.#options.identity.release()
    this.#options.onRelease()
  }
}

function aboutToken(svid: JwtSvid, audience: string) {
  return { spiffeId: svid.spiffeId, audience, expiresAt: svid.expiresAt, tokenId: tokenIdOf(svid) }
}

function describe({ message, hint }: HeraldError): string {
  return hint === undefined ? message : `${message} — ${hint}`
}
