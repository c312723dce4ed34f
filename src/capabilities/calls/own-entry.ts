import type { Clock } from '../../clock/clock.ts'
import { HeraldError, isHeraldError } from '../../errors/herald-error.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import type { CallKey } from './call-key.ts'

export type OwnEntryOptions = {
  /** The SPIFFE ID under which the component is called. */
  readonly self: SpiffeId
  /** Stays with its owner. */
  readonly identity: ComponentIdentity
  readonly key: CallKey
  readonly clock: Clock
  readonly log: Log
}

/** How often one that is gone is asked for again, ms. */
const askAgainMs = 1_000

/** Whether the authority still has a component that is called by others: what it offers is refused from the moment it has not, until it has again. */
export class OwnEntry {
  readonly #options: OwnEntryOptions
  readonly #lifetime = new AbortController()
  readonly #unsubscribe: () => void
  #gone = false

  /** What {@link fetchToken} gave is kept and watched from then on. */
  constructor(options: OwnEntryOptions) {
    this.#options = options
    this.#unsubscribe = options.identity.onChange((change) => {
      if (change.kind === 'evicted' && change.reason !== 'capacity') this.#withdraw(change.reason)
    })
  }

  get isGone(): boolean {
    return this.#gone
  }

  /** The token that says whose the key is. @throws as `ComponentIdentity.fetchJwtSvid` · ERR_SVID_SPIFFE_ID_NOT_ISSUED */
  async fetchToken(): Promise<string> {
    const { identity, key, self } = this.#options
    const { svid } = await identity.fetchJwtSvid([key.audience], { signal: this.#lifetime.signal })
    if (svid.spiffeId === self) return svid.reveal()
    this.#withdraw('another-id')
    throw new HeraldError('ERR_SVID_SPIFFE_ID_NOT_ISSUED', `the component is ${svid.spiffeId} now`)
  }

  #withdraw(reason: string): void {
    if (this.#gone || this.#lifetime.signal.aborted) return
    this.#gone = true
    const { self, log } = this.#options
    const record = { event: 'call.withdrawn', callee: self, reason, code: 'ERR_SPIRE_NO_IDENTITY_ISSUED' }
    log.warn(record, 'the component is called no more: its registration entry is gone')
    void this.#waitForReturn()
  }

  /** Never rejects. */
  async #waitForReturn(): Promise<void> {
    const { identity, key, self, clock, log } = this.#options
    const { signal } = this.#lifetime
    while (!signal.aborted) {
      try {
        await clock.sleep(askAgainMs, { signal })
        const { svid } = await identity.fetchJwtSvid([key.audience], { signal })
        if (svid.spiffeId !== self) continue
        this.#gone = false
        log.info({ event: 'call.restored', callee: self }, 'the component can be called again')
        return
      } catch (error) {
        if (!signal.aborted && !isHeraldError(error))
          log.error({ event: 'call.restore-failed', callee: self, err: error }, 'asking for an entry failed')
      }
    }
  }

  close(): void {
    this.#unsubscribe()
    this.#lifetime.abort(new Error('the component is gone'))
  }
}
