import type { Clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import { ComponentX509 } from './component-x509.ts'
import type { RenewalSchedule } from './renewal-schedule.ts'
import type { Selector } from './selectors.ts'
import type { SvidAuthority } from './svid-authority.ts'
import { chooseJwtSvid } from './svid-choice.ts'
import { isDenial } from './svid-refusal.ts'
import { type SvidChange, SvidSlot, type UsableSvid } from './svid-slot.ts'
import type { SvidTuning } from './svid-tuning.ts'
import { verifyByAuthority } from './svid-verification.ts'

export type AudienceSvidChange = SvidChange & { readonly audiences: readonly string[] }

export type ComponentSvidsOptions = {
  readonly selectors: readonly Selector[]
  /** The one to accept when several entries match. */
  readonly spiffeId: SpiffeId | undefined
  readonly authority: SvidAuthority
  readonly clock: Clock
  readonly random: () => number
  readonly tuning: SvidTuning
  /** Of all components of the host. */
  readonly schedule: RenewalSchedule
  readonly log: Log
  /** Called whenever a slot is used, so that the owner can keep the number of slots within bounds. */
  readonly onUse: (slot: SvidSlot, drop: () => void) => void
  readonly onForget: (slot: SvidSlot) => void
}

/** All SVIDs of components with the same selectors: one slot per set of audiences, one X.509 stream that says what is revoked. */
export class ComponentSvids {
  readonly #options: ComponentSvidsOptions
  readonly #slots = new Map<string, SvidSlot>()
  readonly #listeners = new Set<(change: AudienceSvidChange) => void>()
  readonly #lifetime = new AbortController()
  /** What the stream has shown since it last began. */
  #entitled = new Set<SpiffeId>()
  #watching = false
  #doubt: AbortController | undefined

  /** Opens its own stream when it is first asked. */
  readonly x509: ComponentX509

  constructor(options: ComponentSvidsOptions) {
    this.#options = options
    const { callerWaitMs } = options.tuning
    this.x509 = new ComponentX509({ ...options, callerWaitMs })
  }

  /** @throws ERR_AUDIENCE_INVALID and the refusals that `SvidSource` documents. */
  async get(audiences: readonly string[], signal: AbortSignal): Promise<UsableSvid> {
    if (this.#lifetime.signal.aborted) throw new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone')
    const sorted = normaliseAudiences(audiences)
    const key = JSON.stringify(sorted)
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = this.#openSlot(sorted)
      this.#slots.set(key, slot)
    }
    const used = slot
    this.#options.onUse(used, () => {
      if (this.#slots.get(key) === used) this.#slots.delete(key)
      used.evict('capacity')
    })
    const answer = used.get(signal)
    this.#watch()
    return answer
  }

  /** See `ComponentIdentity.refetchJwtSvid`. */
  async refetch(audiences: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#slots.get(JSON.stringify(normaliseAudiences(audiences)))?.refetch(signal)
  }

  onChange(listener: (change: AudienceSvidChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends the stream, fetches and renewals, and forgets every token. Idempotent. */
  close(): void {
    const reason = new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone')
    this.#lifetime.abort(reason)
    this.x509.close()
    for (const slot of this.#slots.values()) {
      slot.close(reason)
      this.#options.onForget(slot)
    }
    this.#slots.clear()
    this.#listeners.clear()
  }

  #openSlot(audiences: readonly string[]): SvidSlot {
    const { authority, selectors, spiffeId, clock, tuning, random, schedule, log } = this.#options
    return new SvidSlot({
      clock,
      random,
      tuning,
      schedule,
      log,
      fetch: async (signal) => {
        const svid = chooseJwtSvid(await authority.fetchJwtSvids({ selectors, audiences }, { signal }), spiffeId)
        await verifyByAuthority(svid, audiences, { authority, clock, keyWaitMs: tuning.keyWaitMs })
        return svid
      },
      onChange: (change) => {
        const { svid, kind } = change
        const reason = change.kind === 'evicted' ? change.reason : undefined
        const record = { event: `svid.${kind}`, spiffeId: svid.spiffeId, audiences, expiresAt: svid.expiresAt, reason }
        log[kind === 'evicted' ? 'info' : 'debug'](record, `JWT-SVID ${kind}`)
        for (const listener of [...this.#listeners]) listener({ ...change, audiences })
      },
    })
  }

  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    this.#followEntitlements().catch((error: unknown) => {
      this.#watching = false
      if (!this.#lifetime.signal.aborted) {
        this.#options.log.error({ event: 'svid.watch.failed', err: error }, 'the X.509 stream ended unexpectedly')
      }
    })
  }

  async #followEntitlements(): Promise<void> {
    const { authority, selectors, log } = this.#options
    const signal = this.#lifetime.signal
    for await (const update of authority.watchX509({ selectors }, { signal })) {
      if (signal.aborted) return
      if (update.kind === 'entitled') this.#reconcile(new Set(update.spiffeIds))
      else {
        // The stream begins anew: its first message may come before the SVIDs, so absence proves nothing until it has shown them.
        this.#entitled = new Set()
        if (isDenial(update.error)) this.#doubtWhatIsHeld()
        log.debug({ event: 'svid.watch.interrupted', code: update.error.code }, update.error.message)
      }
    }
  }

  #reconcile(entitled: ReadonlySet<SpiffeId>): void {
    const gone = [...this.#entitled].filter((spiffeId) => !entitled.has(spiffeId))
    const isNew = [...entitled].some((spiffeId) => !this.#entitled.has(spiffeId))
    this.#entitled = new Set(entitled)
    this.#doubt?.abort()
    let doubtful = entitled.size > 1 && this.#options.spiffeId === undefined
    for (const slot of this.#slots.values()) {
      const held = slot.usable()?.svid.spiffeId
      if (gone.length > 0 && (held === undefined || gone.includes(held))) slot.evict('entry-gone')
      else if (held !== undefined && !entitled.has(held)) doubtful = true
      if (isNew) slot.forgetRefusal()
    }
    if (doubtful) this.#doubtWhatIsHeld()
  }

  /** Asks the authority about everything held, unless the stream shows it within a moment. */
  #doubtWhatIsHeld(): void {
    const { clock, tuning, random } = this.#options
    this.#doubt?.abort()
    const doubt = new AbortController()
    this.#doubt = doubt
    const signal = AbortSignal.any([doubt.signal, this.#lifetime.signal])
    clock.sleep(tuning.doubtMs * (1 + random()), { signal }).then(
      () => {
        for (const slot of this.#slots.values()) slot.revalidate()
      },
      () => {},
    )
  }
}

const maxAudienceBytes = 2048
const maxAudiences = 16

function normaliseAudiences(audiences: readonly string[]): readonly string[] {
  const sorted = [...new Set(audiences)].sort()
  if (sorted.length === 0 || sorted.length > maxAudiences) {
    throw new HeraldError('ERR_AUDIENCE_INVALID', `a JWT-SVID has 1 to ${maxAudiences} audiences, not ${sorted.length}`)
  }
  for (const audience of sorted) {
    // SPIRE answers an empty audience as if it were an outage, so it never gets one.
    if (audience === '' || !audience.isWellFormed() || Buffer.byteLength(audience) > maxAudienceBytes) {
      throw new HeraldError('ERR_AUDIENCE_INVALID', `an audience is 1 to ${maxAudienceBytes} bytes of well-formed text`)
    }
  }
  return sorted
}
