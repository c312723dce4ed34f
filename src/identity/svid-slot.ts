import type { Clock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import { Deadline } from './deadline.ts'
import type { RenewalSchedule } from './renewal-schedule.ts'
import { isAbsence, isDenial } from './svid-refusal.ts'
import type { SvidTuning } from './svid-tuning.ts'
import { waitWithin } from './wait-within.ts'

export type EvictionReason =
  /** The X.509 stream no longer shows the SPIFFE ID. */
  | 'entry-gone'
  /** The authority refused when asked again. */
  | 'denied'
  /** Too many tokens are held. */
  | 'capacity'

export type SvidChange =
  | { readonly kind: 'renewed'; readonly svid: JwtSvid; readonly usableUntilMs: number }
  | { readonly kind: 'evicted'; readonly svid: JwtSvid; readonly reason: EvictionReason }

/** A verified SVID and the moment until which it is handed out (its expiry less the skew), ms since the epoch. */
export type UsableSvid = { readonly svid: JwtSvid; readonly usableUntilMs: number }

export type SvidSlotOptions = {
  /** Asks the authority, chooses and verifies. */
  readonly fetch: (signal: AbortSignal) => Promise<JwtSvid>
  readonly clock: Clock
  /** 0 ≤ x < 1. */
  readonly random: () => number
  readonly tuning: SvidTuning
  /** Of all slots of the host. */
  readonly schedule: RenewalSchedule
  readonly log: Log
  readonly onChange: (change: SvidChange) => void
}

/** One component's SVID for one set of audiences: fetched once for all who wait, kept, renewed in the background, evicted. */
export class SvidSlot {
  readonly #options: SvidSlotOptions
  #held: UsableSvid | undefined
  #fetching: Promise<UsableSvid> | undefined
  #refusal: { readonly error: HeraldError; readonly untilMs: number } | undefined
  /** Somebody has waited for the fetch under way in vain. */
  #overdue = false
  /** Rises with every eviction: what a fetch brings that began before it is thrown away. */
  #epoch = 0
  #failedRenewals = 0
  #attempt: Deadline | undefined
  #renewal: Deadline | undefined
  #closed = false

  constructor(options: SvidSlotOptions) {
    this.#options = options
  }

  /** What may be handed out now, from memory. */
  usable(): UsableSvid | undefined {
    return this.#held !== undefined && this.#options.clock.nowMs() < this.#held.usableUntilMs ? this.#held : undefined
  }

  get isFetching(): boolean {
    return this.#fetching !== undefined
  }

  async get(signal: AbortSignal): Promise<UsableSvid> {
    signal.throwIfAborted()
    const { clock, tuning } = this.#options
    const held = this.usable()
    if (held !== undefined) return held
    if (this.#refusal !== undefined && clock.nowMs() < this.#refusal.untilMs) throw this.#refusal.error
    const timeoutMs = this.#overdue ? tuning.overdueWaitMs : tuning.callerWaitMs
    return waitWithin(this.#fetch(), {
      signal,
      clock,
      timeoutMs,
      timeoutError: () => {
        this.#overdue = true
        return new HeraldError('ERR_SVID_TIMEOUT', `the authority did not deliver within ${timeoutMs} ms`, {
          hint: 'try again: the fetch goes on in the background',
        })
      },
    })
  }

  /** Asks the authority whether what is held still stands. Evicts if it says no; keeps if it says nothing. */
  revalidate(): void {
    if (this.#held !== undefined) this.#fetch().catch(() => {})
  }

  /** {@link revalidate}, and waits for the answer or the signal. Never rejects. */
  async refetch(signal: AbortSignal): Promise<void> {
    if (this.#held === undefined) return
    const { clock, tuning } = this.#options
    const timeoutError = (): Error => new Error('the authority did not answer')
    await waitWithin(this.#fetch(), { signal, clock, timeoutMs: tuning.callerWaitMs, timeoutError }).catch(() => {})
  }

  /** Drops what is held, and what a fetch under way would bring. */
  evict(reason: EvictionReason): void {
    this.#epoch += 1
    this.#renewal?.abort(undefined)
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#options.onChange({ kind: 'evicted', svid: held.svid, reason })
  }

  /** Ends the fetch under way with this reason, and renewals; forgets the token. */
  close(reason: HeraldError): void {
    this.#closed = true
    this.#epoch += 1
    this.#held = undefined
    this.#renewal?.abort(reason)
    this.#attempt?.abort(reason)
  }

  forgetRefusal(): void {
    this.#refusal = undefined
  }

  #fetch(): Promise<UsableSvid> {
    if (this.#fetching === undefined) {
      const attempt = new Deadline(this.#options.clock, this.#options.tuning.fetchMs)
      this.#attempt = attempt
      this.#fetching = this.#fetchAndKeep(attempt).finally(() => {
        this.#fetching = undefined
        this.#overdue = false
        attempt.disposeSoon()
      })
      // Whoever waits sees the failure; when all have left, nobody needs to.
      this.#fetching.catch(() => {})
    }
    return this.#fetching
  }

  async #fetchAndKeep(attempt: Deadline): Promise<UsableSvid> {
    const { fetch } = this.#options
    for (;;) {
      const epoch = this.#epoch
      try {
        const svid = await fetch(attempt.signal)
        if (epoch === this.#epoch) return this.#keep(svid)
        attempt.signal.throwIfAborted()
      } catch (error) {
        if (epoch === this.#epoch) this.#failed(error)
        throw error
      }
    }
  }

  #keep(svid: JwtSvid): UsableSvid {
    const { clock, tuning, onChange, log } = this.#options
    const nowMs = clock.nowMs()
    const expiresAtMs = svid.expiresAt.getTime()
    const issuedAtMs = Math.min(svid.issuedAt?.getTime() ?? nowMs, nowMs)
    const lifetimeMs = expiresAtMs - issuedAtMs
    const usableUntilMs = expiresAtMs - Math.min(tuning.expirySkewMs, lifetimeMs / 5)
    if (usableUntilMs <= nowMs) {
      throw new HeraldError('ERR_JWT_SVID_EXPIRED', `the JWT-SVID of ${svid.spiffeId} is about to expire`, {
        hint: 'see whether the SPIRE agent reaches its server, and compare their clocks with this one',
      })
    }
    if (svid.issuedAt !== undefined && svid.issuedAt.getTime() > nowMs + 60_000) {
      const aheadS = Math.round((svid.issuedAt.getTime() - nowMs) / 1000)
      log.warn({ event: 'svid.clock-skew', spiffeId: svid.spiffeId, aheadS }, 'the authority is ahead of this clock')
    }
    const replaced = this.#held
    const isSame = replaced?.svid.reveal() === svid.reveal()
    const usable = isSame && replaced !== undefined ? replaced : { svid, usableUntilMs }
    this.#held = usable
    this.#refusal = undefined
    this.#failedRenewals = 0
    this.#scheduleRenewal(issuedAtMs, lifetimeMs, usableUntilMs, isSame)
    if (replaced !== undefined && !isSame) onChange({ kind: 'renewed', ...usable })
    return usable
  }

  /** Whatever asking again at once would not change is remembered for a moment; a denial takes back what is held. */
  #failed(error: unknown): void {
    if (!isHeraldError(error) || isAbsence(error)) return
    const { clock, tuning } = this.#options
    this.#refusal = { error, untilMs: clock.nowMs() + tuning.refusalMs }
    if (isDenial(error)) this.evict('denied')
  }

  /**
   * Between 0.4 and 0.75 of the lifetime: late enough that a SPIRE agent, which hands out the old token until half of its life, mostly has a
   * new one, early enough that an outage of a quarter of the lifetime is not felt, and wide enough to renew evenly what was issued at once. A
   * token that came once more, or past half of its life, is asked for again soon. Always while it may still be handed out, with a twentieth
   * of the lifetime to spare: of short lives the skew takes up to a fifth.
   */
  #scheduleRenewal(issuedAtMs: number, lifetimeMs: number, usableUntilMs: number, isSame: boolean): void {
    const { clock, schedule } = this.#options
    const nowMs = clock.nowMs()
    const halfMs = issuedAtMs + lifetimeMs * 0.5
    const isLate = nowMs >= halfMs
    let fromMs = Math.max(issuedAtMs + lifetimeMs * 0.4, nowMs)
    if (isLate || isSame) fromMs = Math.max(halfMs, nowMs + lifetimeMs * 0.05)
    const lastMs = usableUntilMs - lifetimeMs * 0.05
    const latestMs = lastMs > nowMs ? lastMs : Number.POSITIVE_INFINITY
    const toMs = Math.max(issuedAtMs + lifetimeMs * (isSame ? 0.85 : 0.75), fromMs + lifetimeMs * 0.1)
    const reservation = schedule.reserve(Math.min(fromMs, latestMs), Math.min(toMs, latestMs))
    this.#renewIn(reservation.atMs - nowMs, reservation.release)
  }

  #renewIn(durationMs: number, over: () => void = () => {}): void {
    this.#renewal?.abort(undefined)
    const renewal = new Deadline(this.#options.clock, Math.max(durationMs, 200))
    this.#renewal = renewal
    renewal.signal.addEventListener('abort', () => {
      over()
      if (renewal.isTimeOver) this.#renew()
    })
  }

  async #renew(): Promise<void> {
    const { log, random } = this.#options
    try {
      await this.#fetch()
    } catch (error) {
      const usable = this.usable()
      if (usable === undefined || this.#closed) return
      this.#failedRenewals += 1
      const { spiffeId, expiresAt } = usable.svid
      const { code, message } = error as HeraldError
      log.warn({ event: 'svid.renewal.failed', spiffeId, expiresAt, code }, message)
      this.#renewIn(Math.min(500 * 2 ** this.#failedRenewals, 15_000) * (0.5 + random()))
    }
  }
}
