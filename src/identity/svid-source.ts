import type { Clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'
import type { ComponentFacts } from './component-facts.ts'
import { type AudienceSvidChange, ComponentSvids } from './component-svids.ts'
import { RenewalSchedule } from './renewal-schedule.ts'
import { type Selector, selectorsOf } from './selectors.ts'
import type { SvidAuthority } from './svid-authority.ts'
import type { SvidSlot, UsableSvid } from './svid-slot.ts'
import { defaultSvidTuning, type SvidTuning } from './svid-tuning.ts'

/** The host's one way to SVIDs of components: cached, fetched once for all who wait, renewed, verified, evicted. */
export interface SvidSource extends AsyncDisposable {
  /** SVIDs that could be handed out now. */
  heldCount(): number
  /** Begins to care for a component. Nothing is fetched before it is asked for. @throws ERR_SELECTOR_FACT_INVALID */
  open(component: ComponentFacts, options?: { spiffeId?: SpiffeId | undefined }): ComponentIdentity
}

/** One component's identity, until released. */
export interface ComponentIdentity {
  /** What the authority is told of the component. */
  readonly selectors: readonly Selector[]
  /**
   * A verified SVID of this component, for all of the audiences. At once while one is held; else it waits a few seconds at most.
   * An aborted caller leaves the fetch to the others.
   * @throws ERR_SPIRE_NO_IDENTITY_ISSUED: no entry matches · ERR_SVID_SPIFFE_ID_NOT_ISSUED · ERR_SVID_AMBIGUOUS ·
   * ERR_SPIRE_HOST_UNREGISTERED · ERR_SPIRE_DELEGATE_UNAUTHORIZED · ERR_SVID_TIMEOUT, ERR_SPIRE_UNREACHABLE and the like: the authority is
   * away · ERR_JWT_SVID_…, ERR_JWT_BUNDLE_…: its answer failed verification · ERR_AUDIENCE_INVALID · ERR_SVID_SOURCE_CLOSED
   */
  fetchJwtSvid(audiences: readonly string[], options: { signal: AbortSignal }): Promise<UsableSvid>
  /**
   * Asks the authority again although one is held, since a relying party refused it. What is held stays when the authority gives the
   * same, or is away; one that was never fetched is left alone. Never rejects.
   */
  refetchJwtSvid(audiences: readonly string[], options: { signal: AbortSignal }): Promise<void>
  /** Its SPIFFE ID, without a token. @throws like {@link fetchJwtSvid} */
  fetchSubject(options: { signal: AbortSignal }): Promise<SpiffeId>
  /**
   * Whether it may believe what a trust domain signs: its own, and those that its entries federate with. Follows the authority: no longer
   * once the entries say otherwise. A component without an entry trusts none. @throws like {@link fetchJwtSvid} while the authority is away
   */
  trusts(trustDomain: TrustDomain, options: { signal: AbortSignal }): Promise<boolean>
  /** Its current X.509-SVID, kept current in the background. @throws like {@link fetchJwtSvid} · ERR_X509_SVID_UNAVAILABLE */
  fetchX509Svid(options: { signal: AbortSignal }): Promise<X509Svid>
  /** What {@link fetchX509Svid} would give at once; `undefined` if it would wait or fail. */
  heldX509Svid(): X509Svid | undefined
  /** Called with what is held whenever the authority says something of it. Returns the function that ends it. */
  onX509Change(listener: (held: X509Svid | undefined) => void): () => void
  /** Renewals and evictions of what was fetched. Returns the function that ends it. */
  onChange(listener: (change: AudienceSvidChange) => void): () => void
  /** Idempotent. */
  release(): void
}

export type SvidSourceOptions = {
  readonly authority: SvidAuthority
  readonly clock: Clock
  readonly log: Log
  /** 0 ≤ x < 1; spreads renewals. Default: Math.random. */
  readonly random?: () => number
  readonly tuning?: Partial<SvidTuning>
}

/** Disposal forgets every token; the authority stays with its owner. */
export function createSvidSource({
  authority,
  clock,
  log,
  random = Math.random,
  ...options
}: SvidSourceOptions): SvidSource {
  const tuning: SvidTuning = { ...defaultSvidTuning, ...options.tuning }
  const schedule = new RenewalSchedule(random)
  const shared = new Map<string, { readonly svids: ComponentSvids; users: number }>()
  /** Slots in the order of their last use. */
  const used = new Map<SvidSlot, () => void>()

  function onUse(slot: SvidSlot, drop: () => void): void {
    used.delete(slot)
    used.set(slot, drop)
    if (used.size <= tuning.maxSvids) return
    for (const [oldest, dropOldest] of used) {
      if (oldest.isFetching) continue
      used.delete(oldest)
      dropOldest()
      return
    }
  }

  const onForget = (slot: SvidSlot): void => void used.delete(slot)

  return {
    open(component, { spiffeId } = {}) {
      const selectors = selectorsOf(component)
      // JSON keeps every fact apart; components of which the host knows the same share their tokens.
      const key = JSON.stringify([spiffeId ?? null, ...selectors.map(({ value }) => value).sort()])
      const entry = shared.get(key) ?? {
        svids: new ComponentSvids({
          selectors,
          spiffeId,
          authority,
          clock,
          random,
          tuning,
          schedule,
          log,
          onUse,
          onForget,
        }),
        users: 0,
      }
      shared.set(key, entry)
      entry.users += 1
      const unsubscribers: (() => void)[] = []
      let released = false
      return {
        selectors,
        async fetchJwtSvid(audiences, { signal }) {
          if (released) throw new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone')
          return entry.svids.get(audiences, signal)
        },
        async refetchJwtSvid(audiences, { signal }) {
          if (!released) await entry.svids.refetch(audiences, signal)
        },
        async fetchSubject({ signal }) {
          if (released) throw new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone')
          return entry.svids.x509.subject(signal)
        },
        async trusts(trustDomain, { signal }) {
          if (released) throw new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone')
          return entry.svids.x509.trusts(trustDomain, signal)
        },
        async fetchX509Svid({ signal }) {
          if (released) throw new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone')
          return entry.svids.x509.svid(signal)
        },
        heldX509Svid: () => (released ? undefined : entry.svids.x509.held()),
        onX509Change(listener) {
          const unsubscribe = entry.svids.x509.onChange(listener)
          unsubscribers.push(unsubscribe)
          return unsubscribe
        },
        onChange(listener) {
          const unsubscribe = entry.svids.onChange(listener)
          unsubscribers.push(unsubscribe)
          return unsubscribe
        },
        release() {
          if (released) return
          released = true
          for (const unsubscribe of unsubscribers) unsubscribe()
          entry.users -= 1
          if (entry.users > 0) return
          entry.svids.close()
          if (shared.get(key) === entry) shared.delete(key)
        },
      }
    },
    heldCount: () => [...used.keys()].filter((slot) => slot.usable() !== undefined).length,
    async [Symbol.asyncDispose]() {
      for (const { svids } of shared.values()) svids.close()
      shared.clear()
      used.clear()
    },
  }
}
