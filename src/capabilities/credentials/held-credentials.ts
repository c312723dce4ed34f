import type { Clock } from '../../clock/clock.ts'
import { HeraldError, isHeraldError } from '../../errors/herald-error.ts'
import { audienceOf, type Binding } from '../../federation/binding.ts'
import type { Credentials, Exchanged } from '../../federation/credentials.ts'
import { exchange } from '../../federation/exchange.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import { waitWithin } from '../../identity/wait-within.ts'
import type { Log } from '../../observability/log.ts'
import type { SpanAttributes } from '../../observability/span-catalog.ts'
import { measured, type Tracer } from '../../observability/tracer.ts'
import type { JwtSvid } from '../../spiffe/jwt-svid.ts'

export type HeldCredentialsOptions = {
  readonly binding: Binding
  readonly identity: Pick<ComponentIdentity, 'fetchJwtSvid'>
  readonly fetch: typeof globalThis.fetch
  readonly clock: Clock
  readonly log: Log
  /** Makes a span of each exchange. Default: none are made. */
  readonly tracer?: Tracer | undefined
  /** Of those spans. */
  readonly about?: SpanAttributes<'herald.credentials.exchange'>
  /** New credentials are held, or the same ones for longer, or (undefined) none any more. */
  readonly onChange: (change: HeldChange) => void
}

export type HeldChange =
  | { readonly kind: 'exchanged' | 'renewed'; readonly svid: JwtSvid; readonly credentials: Credentials }
  | { readonly kind: 'evicted'; readonly reason: string }

export type UsableCredentials = { readonly credentials: Credentials; readonly usableUntilMs: number }

type Held = UsableCredentials & {
  readonly svid: JwtSvid
  readonly lease: Exchanged['lease']
  readonly refreshAtMs: number
}

/** A guest waits so long for an exchange; the exchange itself may go on (a new Entra credential takes minutes), ms. */
const callerWaitMs = 20_000
const exchangeMs = 130_000
/** After a refusal nobody is asked again for so long: a guest in a loop must not become the relying party's load, ms. */
const refusalHoldMs = 2_000
const revokeMs = 5_000

/** One component's credentials of one binding: traded once for all who wait, kept until shortly before they expire, dropped with the identity. */
export class HeldCredentials {
  readonly #options: HeldCredentialsOptions
  #held: Held | undefined
  #exchanging: Promise<Held> | undefined
  #refusal: { readonly error: HeraldError; readonly untilMs: number } | undefined
  /** Rises with every eviction: what an exchange brings that began before it is thrown away. */
  #epoch = 0
  readonly #lifetime = new AbortController()
  #renewal: AbortController | undefined

  constructor(options: HeldCredentialsOptions) {
    this.#options = options
  }

  /** @throws ERR_FEDERATION_… and what `ComponentIdentity.fetchJwtSvid` throws. */
  async get(signal: AbortSignal): Promise<UsableCredentials> {
    signal.throwIfAborted()
    this.#lifetime.signal.throwIfAborted()
    const { clock } = this.#options
    const nowMs = clock.nowMs()
    if (this.#held !== undefined && nowMs < this.#held.usableUntilMs) {
      const due = nowMs >= this.#held.refreshAtMs
      if (due && !(this.#refusal !== undefined && nowMs < this.#refusal.untilMs)) this.#exchange().catch(() => {})
      return due ? this.#held : forNow(this.#held)
    }
    if (this.#refusal !== undefined && nowMs < this.#refusal.untilMs) throw this.#refusal.error
    const held = await waitWithin(this.#exchange(), {
      signal,
      clock,
      timeoutMs: callerWaitMs,
      timeoutError: () =>
        new HeraldError('ERR_FEDERATION_UNAVAILABLE', `no credentials within ${callerWaitMs / 1000} s`, {
          hint: 'Try again: the exchange goes on in the background.',
        }),
    })
    if (this.#held?.credentials !== held.credentials) throw revokedMeanwhile()
    return forNow(held)
  }

  holds(credentials: Credentials): boolean {
    return this.#held?.credentials === credentials
  }

  /** The identity is gone: so is everything obtained with it, what is under way included. Leases are taken back. */
  evict(reason: string): void {
    this.#epoch += 1
    this.#refusal = undefined
    const held = this.#held
    this.#drop()
    if (held === undefined) return
    this.#revoke(held.lease)
    this.#options.onChange({ kind: 'evicted', reason })
  }

  /** Forgets everything. Idempotent. */
  close(): void {
    if (this.#lifetime.signal.aborted) return
    this.evict('released')
    this.#lifetime.abort(new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the component is gone'))
  }

  #exchange(): Promise<Held> {
    if (this.#exchanging === undefined) {
      this.#exchanging = this.#exchangeAndKeep().finally(() => {
        this.#exchanging = undefined
      })
      // Whoever waits sees the failure; when all have left, nobody needs to.
      this.#exchanging.catch(() => {})
    }
    return this.#exchanging
  }

  async #exchangeAndKeep(): Promise<Held> {
    const { binding, identity, fetch, clock } = this.#options
    const signal = AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(exchangeMs)])
    const epoch = this.#epoch
    try {
      const { svid } = await identity.fetchJwtSvid([audienceOf(binding)], { signal })
      const exchanged = await this.#traced(() => exchange(binding, svid, { fetch, clock, signal }))
      if (epoch !== this.#epoch || this.#lifetime.signal.aborted) {
        this.#revoke(exchanged.lease)
        throw revokedMeanwhile()
      }
      return this.#keep(svid, exchanged, 'exchanged')
    } catch (error) {
      if (isHeraldError(error) && isVerdict(error) && epoch === this.#epoch) {
        this.#refusal = { error, untilMs: clock.nowMs() + refusalHoldMs }
      }
      throw error
    }
  }

  /** What takes the SVID as it is trades nothing. */
  #traced(trade: () => Promise<Exchanged>): Promise<Exchanged> {
    const { tracer, about, binding } = this.#options
    if (binding.provider === 'jwt-svid') return trade()
    const attributes = { ...about, 'herald.credentials.provider': binding.provider }
    return measured(tracer, 'herald.credentials.exchange', attributes, trade)
  }

  #keep(svid: JwtSvid, { credentials, lease }: Exchanged, kind: 'exchanged' | 'renewed'): Held {
    const { clock, onChange } = this.#options
    const nowMs = clock.nowMs()
    const expiresAtMs = credentials.expiresAt.getTime()
    const lifetimeMs = expiresAtMs - nowMs
    const held: Held = {
      svid,
      credentials,
      lease,
      usableUntilMs: expiresAtMs - Math.min(60_000, lifetimeMs / 5),
      refreshAtMs: nowMs + lifetimeMs * 0.7,
    }
    const former = kind === 'exchanged' ? this.#held?.lease : undefined
    this.#drop()
    this.#revoke(former)
    this.#refusal = undefined
    this.#held = held
    if (lease !== undefined) this.#renewInTime(held)
    onChange({ kind, svid, credentials })
    return held
  }

  /** A lease is prolonged in the background, so that a connection opened with it lives on; when that is refused, it is dropped. */
  #renewInTime(held: Held): void {
    const { clock, log } = this.#options
    const over = new AbortController()
    this.#renewal = over
    const signal = AbortSignal.any([over.signal, this.#lifetime.signal])
    const renew = async (): Promise<void> => {
      await clock.sleep((held.refreshAtMs - clock.nowMs()) * 0.95, { signal })
      try {
        const credentials = await held.lease?.renew({ signal })
        if (signal.aborted || credentials === undefined) return
        // A lease at its greatest age is not prolonged any more: then the next call exchanges anew.
        if (credentials.expiresAt.getTime() > held.credentials.expiresAt.getTime()) {
          this.#keep(held.svid, { credentials, lease: held.lease }, 'renewed')
        }
      } catch (error) {
        if (signal.aborted) return
        const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
        log.warn(
          { event: 'credentials.lease.renewal_failed', code, provider: this.#options.binding.provider },
          'a lease was not renewed',
        )
        if (code === 'ERR_FEDERATION_REFUSED') this.evict('lease-revoked')
      }
    }
    renew().catch(() => {})
  }

  #drop(): void {
    this.#renewal?.abort()
    this.#renewal = undefined
    this.#held = undefined
  }

  #revoke(lease: Exchanged['lease']): void {
    lease?.revoke({ signal: AbortSignal.timeout(revokeMs) }).catch((error: unknown) => {
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      this.#options.log.warn(
        { event: 'credentials.lease.revocation_failed', code },
        'a lease was not revoked: it ends by itself',
      )
    })
  }
}

/** A cell keeps them until they are due for renewal: then it asks, gets the same ones at once, and the exchange goes on behind it. */
function forNow({ credentials, refreshAtMs }: Held): UsableCredentials {
  return { credentials, usableUntilMs: refreshAtMs }
}

function revokedMeanwhile(): HeraldError {
  return new HeraldError('ERR_FEDERATION_UNAVAILABLE', 'the identity was revoked while it was being exchanged', {
    hint: 'Try again: if the component still has an identity, it is used.',
  })
}

/** What asking again at once cannot change. The identity's own refusals are held by the identity. */
function isVerdict({ code }: HeraldError): boolean {
  return code === 'ERR_FEDERATION_REFUSED' || code === 'ERR_FEDERATION_ANSWER_INVALID'
}
