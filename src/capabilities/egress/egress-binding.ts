import { HeraldError, isHeraldError } from '../../errors/herald-error.ts'
import { audienceOf } from '../../federation/binding.ts'
import type { Credentials } from '../../federation/credentials.ts'
import {
  createHeadSigner,
  type EgressSigning,
  egressRefusalOf,
  type HeadSigner,
  type HeadToSign,
} from '../../federation/egress-signing.ts'
import { type AuditedComponent, auditedComponent, tokenIdOf } from '../../identity/audit.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { AudienceSvidChange } from '../../identity/component-svids.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import { type ActiveSpan, codeOf, measured } from '../../observability/tracer.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { componentAttributes } from '../component-attributes.ts'
import { credentialsErrorOf } from '../credentials/credentials-answer.ts'
import { type HeldChange, HeldCredentials, type HeldCredentialsOptions } from '../credentials/held-credentials.ts'
import { CertificateTunnel } from './certificate-tunnel.ts'
import type { EgressCellConfig, SignAnswer } from './egress-answer.ts'
import type { EgressAuditSink } from './egress-audit.ts'
import type { NamedSigning } from './egress-config.ts'
import { parseRejectedReport, parseSignRequest } from './sign-request.ts'

export type EgressBindingOptions = Pick<HeldCredentialsOptions, 'fetch' | 'clock' | 'log' | 'tracer'> & {
  readonly component: ComponentFacts
  readonly signings: readonly NamedSigning[]
  /** One per signing, released with this. */
  readonly identities: readonly ComponentIdentity[]
  /** For the signings that need one, by their place. Closed with this. */
  readonly tunnels: ReadonlyMap<number, CertificateTunnel>
  readonly audit: EgressAuditSink
  readonly onRelease: () => void
}

/** After a 401 evicted credentials, those that follow are not evicted for so long: a guest must not turn 401s into exchanges, ms. */
const evictionPauseMs = 10_000

type Slot = {
  readonly named: NamedSigning
  readonly identity: ComponentIdentity
  readonly audience: string
  readonly way: ByCredentials | CertificateTunnel
  signed: { readonly credentialId: string; count: number } | undefined
  refusal: { readonly code: HeraldError['code']; readonly reason: string; count: number } | undefined
}
type ByCredentials = {
  readonly signing: EgressSigning
  readonly held: HeldCredentials
  signer: { readonly credentials: Credentials; readonly made: HeadSigner } | undefined
  evictableAtMs: number
}

/** One component's outgoing requests on the control thread: keys and tokens stay here, the values of fields leave. */
export class EgressBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'egress-cell')
  readonly config: EgressCellConfig
  readonly #options: EgressBindingOptions
  readonly #component: AuditedComponent
  readonly #slots: readonly Slot[]
  #released = false

  constructor(options: EgressBindingOptions) {
    this.#options = options
    this.#component = auditedComponent(options.component)
    const { component, signings, identities, tunnels, fetch, clock, log, tracer } = options
    this.config = {
      signings: signings.map(({ signing }, index) =>
        'binding' in signing ? signing : { ...signing, socketPath: tunnels.get(index)!.socketPath },
      ),
    }
    this.#slots = signings.map((named, index): Slot => {
      const identity = identities[index]
      if (identity === undefined) throw new TypeError('one identity per entry')
      const { signing } = named
      const counted = { signed: undefined, refusal: undefined }
      if (!('binding' in signing))
        return { named, identity, audience: signing.origin, way: tunnels.get(index)!, ...counted }
      identity.onChange((change) => this.#onIdentityChange(index, change))
      const onChange = (change: HeldChange): void => this.#onHeldChange(index, change)
      const about = { ...componentAttributes(component), 'herald.binding': named.name }
      const { binding } = signing
      const held = new HeldCredentials({ binding, identity, fetch, clock, log, tracer, about, onChange })
      const way = { signing, held, signer: undefined, evictableAtMs: 0 }
      return { named, identity, audience: audienceOf(signing.binding), way, ...counted }
    })
  }

  attach(): void {
    // Nothing is sent to cells: they ask for every request.
  }

  async handle(method: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    if (method === 'sign') return this.#sign(payload, signal)
    if (method === 'rejected') return this.#rejected(payload)
    throw new TypeError(`herald:egress has no method ${JSON.stringify(method.slice(0, 40))}`)
  }

  async #sign(payload: unknown, signal: AbortSignal): Promise<SignAnswer> {
    const { slot: index, head } = parseSignRequest(payload)
    const slot = this.#slotAt(index)
    const { name, signing } = slot.named
    const about = {
      ...componentAttributes(this.#options.component),
      'herald.egress.entry': name,
      'herald.egress.method': signing.method.kind,
      'server.address': signing.origin.replace(/^.*:\/\//, ''),
    }
    return measured(this.#options.tracer, 'herald.egress.sign', about, (span) => this.#signed(slot, head, signal, span))
  }

  async #signed(
    slot: Slot,
    head: HeadToSign,
    signal: AbortSignal,
    span: ActiveSpan<'herald.egress.sign'> | undefined,
  ): Promise<SignAnswer> {
    try {
      // Checked here as well: what the cell says may be the guest's.
      const refusal = egressRefusalOf(slot.named.signing, head)
      if (refusal !== undefined) throw new HeraldError('ERR_FEDERATION_REFUSED', refusal)
      const { fields, credentialId } =
        slot.way instanceof CertificateTunnel
          ? { fields: [], credentialId: await slot.way.certificateId(signal) }
          : await this.#signHead(slot.way, head, signal)
      this.#countSigned(slot, credentialId)
      return { kind: 'signed', fields, credentialId }
    } catch (error) {
      if (signal.aborted) throw error
      this.#countRefusal(slot, error)
      span?.failed(codeOf(error))
      const told = credentialsErrorOf(error)
      const denied = told.tag !== 'unavailable'
      return { kind: 'refused', denied, message: 'val' in told ? told.val : 'this component has no identity' }
    }
  }

  async #signHead(way: ByCredentials, head: HeadToSign, signal: AbortSignal) {
    const { credentials } = await way.held.get(signal)
    if (!way.held.holds(credentials)) {
      throw new HeraldError('ERR_FEDERATION_UNAVAILABLE', 'the credentials were evicted just now')
    }
    if (way.signer?.credentials !== credentials) {
      way.signer = { credentials, made: createHeadSigner(way.signing, credentials) }
    }
    const { made } = way.signer
    return { fields: made.sign(head, this.#options.clock.nowMs()), credentialId: made.credentialId }
  }

  async #rejected(payload: unknown): Promise<void> {
    const { slot: index, credentialId } = parseRejectedReport(payload)
    const slot = this.#slotAt(index)
    const { clock, audit } = this.#options
    const { way, audience } = slot
    // A certificate is renewed by the authority alone: a 401 cannot better it.
    if (way instanceof CertificateTunnel) return
    if (way.signer?.made.credentialId !== credentialId || clock.nowMs() < way.evictableAtMs) return
    way.evictableAtMs = clock.nowMs() + evictionPauseMs
    audit({ kind: 'rejected', ...this.#about(slot), credentialId })
    // The SVID too, or it would be traded, or sent, once more.
    await slot.identity.refetchJwtSvid([audience], { signal: AbortSignal.timeout(5_000) })
    way.held.evict('rejected')
  }

  #slotAt(index: number): Slot {
    const slot = this.#slots[index]
    if (slot === undefined) throw new TypeError('herald:egress: no such slot')
    return slot
  }

  /** The first use of credentials is an event at once, those that follow are counted until the next gathering. */
  #countSigned(slot: Slot, credentialId: string): void {
    if (slot.signed?.credentialId === credentialId) {
      slot.signed.count += 1
      return
    }
    this.#gatherSigned(slot)
    slot.signed = { credentialId, count: 0 }
    this.#options.audit({ kind: 'signed', ...this.#about(slot), credentialId, count: 1 })
  }

  #countRefusal(slot: Slot, error: unknown): void {
    const { audit, log } = this.#options
    if (!isHeraldError(error)) log.error({ event: 'egress.failed', err: error }, 'signing a request failed')
    const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
    const reason = isHeraldError(error) ? error.message : 'a defect in the host'
    if (slot.refusal?.code === code) {
      slot.refusal.count += 1
      return
    }
    this.#gatherRefusal(slot)
    slot.refusal = { code, reason, count: 0 }
    audit({ kind: 'refused', ...this.#about(slot), code, reason, count: 1 })
  }

  /** The identity's own eviction takes with it what was obtained. */
  #onIdentityChange(index: number, change: AudienceSvidChange): void {
    const slot = this.#slots[index]
    if (slot === undefined || change.kind !== 'evicted' || change.reason === 'capacity') return
    if (slot.way instanceof CertificateTunnel || !change.audiences.includes(slot.audience)) return
    slot.way.held.evict(change.reason)
  }

  /** The certificate of that entry, and every connection made with it, is gone. */
  revoked(index: number): void {
    const slot = this.#slotAt(index)
    this.#gatherSigned(slot)
    slot.signed = undefined
    this.#options.audit({ kind: 'evicted', ...this.#about(slot), reason: 'entry-gone' })
  }

  #onHeldChange(index: number, change: HeldChange): void {
    const slot = this.#slotAt(index)
    this.#gatherSigned(slot)
    slot.signed = undefined
    if (!(slot.way instanceof CertificateTunnel)) slot.way.signer = undefined
    if (change.kind === 'evicted') {
      this.#options.audit({ ...this.#about(slot), ...change })
      return
    }
    const { kind, svid, credentials } = change
    const { expiresAt } = credentials
    this.#options.audit({ kind, ...this.#about(slot), spiffeId: svid.spiffeId, tokenId: tokenIdOf(svid), expiresAt })
  }

  /** Turns what was counted since the last time into audit events. */
  gather(): void {
    for (const slot of this.#slots) {
      this.#gatherSigned(slot)
      this.#gatherRefusal(slot)
    }
  }

  #gatherSigned(slot: Slot): void {
    if (slot.signed === undefined || slot.signed.count === 0) return
    this.#options.audit({ kind: 'signed', ...this.#about(slot), ...slot.signed })
    slot.signed.count = 0
  }

  #gatherRefusal(slot: Slot): void {
    const { refusal } = slot
    slot.refusal = undefined
    if (refusal !== undefined && refusal.count > 0)
      this.#options.audit({ kind: 'refused', ...this.#about(slot), ...refusal })
  }

  #about({ named: { name, signing }, audience }: Slot) {
    const { origin, method } = signing
    return { component: this.#component, entry: name, origin, method: method.kind, audience }
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.gather()
    for (const { way, identity } of this.#slots) {
      if (way instanceof CertificateTunnel) void way[Symbol.asyncDispose]()
      else way.held.close()
      identity.release()
    }
    this.#options.onRelease()
  }
}
