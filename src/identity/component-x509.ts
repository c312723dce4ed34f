import type { Clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import { type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'
import type { Selector } from './selectors.ts'
import type { SvidAuthority } from './svid-authority.ts'
import { namedCandidates } from './svid-choice.ts'
import { isDenial } from './svid-refusal.ts'
import { waitWithin } from './wait-within.ts'

export type ComponentX509Options = {
  readonly selectors: readonly Selector[]
  /** The one to accept when several entries match. */
  readonly spiffeId: SpiffeId | undefined
  readonly authority: SvidAuthority
  readonly clock: Clock
  readonly log: Log
  /** Longest wait of a caller for the authority's first word, ms. */
  readonly callerWaitMs: number
}

type Known = {
  readonly spiffeIds: readonly SpiffeId[]
  readonly federatesWith: readonly TrustDomain[]
  readonly svids: readonly X509Svid[]
}

/** How long an empty first update is waited beyond, since SPIRE's may come before it knows the SVIDs, ms. */
const emptyWaitMs = 1_000

/** The SPIFFE ID and the X.509-SVID of components with the same selectors, kept current by one stream that opens at the first question. */
export class ComponentX509 {
  readonly #options: ComponentX509Options
  readonly #lifetime = new AbortController()
  #known: Known | undefined
  #failure: HeraldError | undefined
  #news = Promise.withResolvers<void>()
  #following = false
  readonly #listeners = new Set<(held: X509Svid | undefined) => void>()

  constructor(options: ComponentX509Options) {
    this.#options = options
  }

  /** @throws ERR_SPIRE_NO_IDENTITY_ISSUED · ERR_SVID_AMBIGUOUS · ERR_SVID_SPIFFE_ID_NOT_ISSUED · ERR_SVID_TIMEOUT and ERR_SPIRE_… */
  async subject(signal: AbortSignal): Promise<SpiffeId> {
    return this.#choose((await this.#whenKnown(signal)).spiffeIds)
  }

  /** @throws like {@link subject} · ERR_X509_SVID_UNAVAILABLE when the authority gives none, or only an expired one */
  async svid(signal: AbortSignal): Promise<X509Svid> {
    const known = await this.#whenKnown(signal)
    const chosen = this.#choose(known.spiffeIds)
    const best = this.#best(known, chosen)
    if (best !== undefined) return best
    throw new HeraldError('ERR_X509_SVID_UNAVAILABLE', `there is no valid X.509-SVID of ${chosen}`, {
      hint: 'the development authority issues none; with SPIRE, see whether the agent reaches its server',
    })
  }

  /** See `ComponentIdentity.trusts`. */
  async trusts(trustDomain: TrustDomain, signal: AbortSignal): Promise<boolean> {
    const { spiffeIds, federatesWith } = await this.#whenKnown(signal)
    return federatesWith.includes(trustDomain) || spiffeIds.some((each) => trustDomainOf(each) === trustDomain)
  }

  /** Called with what is held whenever the authority says something. Returns the function that ends it. */
  onChange(listener: (held: X509Svid | undefined) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What {@link svid} would give at once; `undefined` if it would wait or fail. */
  held(): X509Svid | undefined {
    if (this.#known === undefined) return undefined
    try {
      return this.#best(this.#known, this.#choose(this.#known.spiffeIds))
    } catch {
      return undefined
    }
  }

  /** Several entries of one SPIFFE ID are one identity: the certificate that lives longest. */
  #best({ svids }: Known, chosen: SpiffeId): X509Svid | undefined {
    const nowMs = this.#options.clock.nowMs()
    return svids
      .filter(({ spiffeId, expiresAt }) => spiffeId === chosen && expiresAt.getTime() > nowMs)
      .sort((a, b) => b.expiresAt.getTime() - a.expiresAt.getTime())[0]
  }

  close(): void {
    this.#lifetime.abort(new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone'))
    this.#known = undefined
    this.#tell()
  }

  #choose(spiffeIds: readonly SpiffeId[]): SpiffeId {
    const { spiffeId } = this.#options
    const candidates = [...new Set(spiffeIds)].sort()
    const [only] = candidates
    if (only === undefined) {
      throw new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'no registration entry matches the component')
    }
    if (spiffeId !== undefined) {
      if (candidates.includes(spiffeId)) return spiffeId
      throw new HeraldError(
        'ERR_SVID_SPIFFE_ID_NOT_ISSUED',
        `no matching entry has the configured spiffe-id ${spiffeId}`,
      )
    }
    if (candidates.length === 1) return only
    throw new HeraldError(
      'ERR_SVID_AMBIGUOUS',
      `several SPIFFE IDs match the component: ${namedCandidates(candidates)}`,
    )
  }

  async #whenKnown(signal: AbortSignal): Promise<Known> {
    this.#lifetime.signal.throwIfAborted()
    this.#follow()
    if (this.#known !== undefined && this.#known.spiffeIds.length > 0) return this.#known
    const { clock, callerWaitMs } = this.#options
    const deadlineMs = clock.nowMs() + callerWaitMs
    let emptyUntilMs = Number.POSITIVE_INFINITY
    for (;;) {
      const known = this.#known
      if (known !== undefined && known.spiffeIds.length > 0) return known
      const nowMs = clock.nowMs()
      if (known !== undefined) emptyUntilMs = Math.min(emptyUntilMs, nowMs + emptyWaitMs)
      if (this.#failure !== undefined && isDenial(this.#failure)) throw this.#failure
      if (known !== undefined && nowMs >= emptyUntilMs) return known
      if (nowMs >= deadlineMs) {
        throw (
          this.#failure ?? new HeraldError('ERR_SVID_TIMEOUT', `the authority did not answer within ${callerWaitMs} ms`)
        )
      }
      const timeoutMs = Math.min(deadlineMs, emptyUntilMs) - nowMs
      const isOver = new Error('time is over')
      await waitWithin(this.#news.promise, { signal, clock, timeoutMs, timeoutError: () => isOver }).catch((error) => {
        if (error !== isOver) throw error
      })
      this.#lifetime.signal.throwIfAborted()
    }
  }

  #follow(): void {
    if (this.#following) return
    this.#following = true
    this.#followForever().catch((error: unknown) => {
      this.#following = false
      if (this.#lifetime.signal.aborted) return
      this.#options.log.error({ event: 'svid.x509.failed', err: error }, 'the X.509 stream ended unexpectedly')
    })
  }

  async #followForever(): Promise<void> {
    const { authority, selectors } = this.#options
    const { signal } = this.#lifetime
    for await (const update of authority.watchX509({ selectors }, { signal, withSvids: true })) {
      if (signal.aborted) return
      if (update.kind === 'entitled') {
        const { spiffeIds, federatesWith = [], svids = [] } = update
        this.#known = { spiffeIds, federatesWith, svids }
        this.#failure = undefined
      } else {
        this.#failure = update.error
        // What is held stays valid through an outage, but not against a refusal.
        if (isDenial(update.error)) this.#known = undefined
      }
      this.#tell()
    }
  }

  #tell(): void {
    const news = this.#news
    this.#news = Promise.withResolvers()
    news.resolve()
    for (const listener of this.#listeners) listener(this.held())
  }
}
