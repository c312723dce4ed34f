import { HeraldError, isHeraldError } from '../../errors/herald-error.ts'
import { audienceOf } from '../../federation/binding.ts'
import { type AuditedComponent, auditedComponent, tokenIdOf } from '../../identity/audit.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { AudienceSvidChange } from '../../identity/component-svids.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { componentAttributes } from '../component-attributes.ts'
import { SharedSlots } from '../identity/shared-slots.ts'
import { type CredentialsAnswer, type CredentialsCellConfig, credentialsErrorOf } from './credentials-answer.ts'
import type { CredentialsAuditSink } from './credentials-audit.ts'
import type { NamedBinding } from './credentials-config.ts'
import { type HeldChange, HeldCredentials, type HeldCredentialsOptions } from './held-credentials.ts'

export type CredentialsBindingOptions = Pick<HeldCredentialsOptions, 'fetch' | 'clock' | 'log' | 'tracer'> & {
  readonly component: ComponentFacts
  readonly bindings: readonly NamedBinding[]
  /** One per binding, released with this. */
  readonly identities: readonly ComponentIdentity[]
  readonly audit: CredentialsAuditSink
  readonly onRelease: () => void
}

/** One component's `herald:credentials` on the control thread. Nothing of it is shared with any other component. */
export class CredentialsBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'credentials-cell')
  readonly config: CredentialsCellConfig
  readonly #options: CredentialsBindingOptions
  readonly #component: AuditedComponent
  readonly #slots: SharedSlots
  readonly #held: readonly HeldCredentials[]
  #released = false

  constructor(options: CredentialsBindingOptions) {
    this.#options = options
    this.#component = auditedComponent(options.component)
    const { component, bindings, identities, fetch, clock, log, tracer } = options
    this.#slots = SharedSlots.create(bindings.length)
    this.config = { names: bindings.map(({ name }) => name), shared: this.#slots.buffer }
    this.#held = bindings.map(({ name, binding }, slot) => {
      const identity = identities[slot]
      if (identity === undefined) throw new TypeError('one identity per binding')
      identity.onChange((change) => this.#onIdentityChange(slot, change))
      return new HeldCredentials({
        binding,
        identity,
        fetch,
        clock,
        log,
        tracer,
        about: { ...componentAttributes(component), 'herald.binding': name },
        onChange: (change) => this.#onHeldChange(slot, change),
      })
    })
  }

  attach(): void {
    // Cells learn of evictions through shared memory and ask when they need to: nothing is sent to them.
  }

  async handle(method: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    if (method !== 'get') throw new TypeError(`herald:credentials has no method ${JSON.stringify(method.slice(0, 40))}`)
    const slot = typeof payload === 'number' && Number.isInteger(payload) ? payload : -1
    const held = this.#held[slot]
    if (held === undefined) throw new TypeError('herald:credentials: no such slot')
    return this.#get(slot, held, signal)
  }

  async #get(slot: number, held: HeldCredentials, signal: AbortSignal): Promise<CredentialsAnswer> {
    try {
      const { credentials, usableUntilMs } = await held.get(signal)
      if (!held.holds(credentials))
        throw new HeraldError('ERR_FEDERATION_UNAVAILABLE', 'the credentials were evicted just now')
      // The epoch rises while new credentials are taken over: read after them, in the turn in which they are known to be held.
      this.#slots.countDelivery(slot)
      return {
        kind: 'granted',
        secret: credentials.reveal(),
        expiresAtMs: credentials.expiresAt.getTime(),
        usableUntilMs,
        epoch: this.#slots.epoch(slot),
      }
    } catch (error) {
      if (signal.aborted) throw error
      if (!isHeraldError(error)) {
        this.#options.log.error({ event: 'credentials.failed', err: error }, 'obtaining credentials failed')
      }
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      const reason = isHeraldError(error) ? error.message : 'a defect in the host'
      this.#options.audit({ kind: 'refused', ...this.#about(slot), code, reason })
      return { kind: 'refused', error: credentialsErrorOf(error) }
    }
  }

  /** The identity's own eviction takes with it what was obtained; that the token was renewed does not. */
  #onIdentityChange(slot: number, change: AudienceSvidChange): void {
    if (change.kind !== 'evicted' || change.reason === 'capacity') return
    const binding = this.#options.bindings[slot]?.binding
    if (binding === undefined || !change.audiences.includes(audienceOf(binding))) return
    // Also when nothing is held: an answer may be on its way to a cell.
    this.#slots.raiseEpoch(slot)
    this.#held[slot]?.evict(change.reason)
  }

  #onHeldChange(slot: number, change: HeldChange): void {
    this.#gatherSlot(slot)
    this.#slots.raiseEpoch(slot)
    if (change.kind === 'evicted') {
      this.#options.audit({ ...this.#about(slot), ...change })
      return
    }
    const { kind, svid, credentials } = change
    const { expiresAt } = credentials
    this.#options.audit({ kind, ...this.#about(slot), spiffeId: svid.spiffeId, tokenId: tokenIdOf(svid), expiresAt })
  }

  /** Turns what the cells have counted since the last time into audit events. */
  gather(): void {
    for (const slot of this.#held.keys()) this.#gatherSlot(slot)
    const count = this.#slots.takeRefusals()
    if (count > 0) this.#options.audit({ kind: 'unknown-binding', component: this.#component, count })
  }

  #gatherSlot(slot: number): void {
    const count = this.#slots.takeDeliveries(slot)
    if (count > 0) this.#options.audit({ kind: 'delivered', ...this.#about(slot), count })
  }

  #about(slot: number) {
    const named = this.#options.bindings[slot]
    if (named === undefined) throw new RangeError('no such slot')
    const { name, binding } = named
    return { component: this.#component, binding: name, provider: binding.provider, audience: audienceOf(binding) }
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.gather()
    for (const held of this.#held) held.close()
    for (const slot of this.#held.keys()) this.#slots.raiseEpoch(slot)
    for (const identity of this.#options.identities) identity.release()
    this.#options.onRelease()
  }
}
