import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import { type JwtBundle, parseJwtBundle } from '../../spiffe/jwt-bundle.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import type { AuthorityStatus } from '../svid-authority.ts'
import type { DelegatedIdentityClient, JwtBundlesResponse } from './delegated-identity-client.ts'
import { isTransient } from './spire-status.ts'

export type JwtBundlesOptions = {
  readonly client: Pick<DelegatedIdentityClient, 'subscribeToJwtBundles' | 'waitForConnection'>
  /** Of the failure of a call. */
  readonly translate: (cause: unknown) => HeraldError
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

/**
 * The JWT bundles of all trust domains, kept current by one stream that is opened again whenever it breaks; what was learned stays.
 * The stream is also how the state of the agent is known.
 */
export class JwtBundles {
  #bundles: ReadonlyMap<TrustDomain, JwtBundle> = new Map()
  #status: AuthorityStatus = { kind: 'connecting' }
  #news = Promise.withResolvers<void>()
  readonly #options: JwtBundlesOptions

  constructor(options: JwtBundlesOptions) {
    this.#options = options
  }

  get status(): AuthorityStatus {
    return this.#status
  }

  current(trustDomain: TrustDomain): JwtBundle | undefined {
    return this.#bundles.get(trustDomain)
  }

  /** See `SvidAuthority.jwtBundle`. */
  async get(
    trustDomain: TrustDomain,
    { signal, keyId }: { signal: AbortSignal; keyId?: string | undefined },
  ): Promise<JwtBundle> {
    for (;;) {
      const bundle = this.#bundles.get(trustDomain)
      if (bundle !== undefined && (keyId === undefined || bundle.has(keyId) || signal.aborted)) return bundle
      if (signal.aborted) {
        throw new HeraldError(
          'ERR_JWT_BUNDLE_UNKNOWN',
          `SPIRE has given no JWT bundle of the trust domain ${trustDomain}`,
          {
            hint: 'see whether the agent is reachable, and whether the trust domain is federated',
          },
        )
      }
      await this.#newsOrAbort(signal)
    }
  }

  /** Keeps the stream open until the signal of the options aborts. Never throws. */
  async follow(): Promise<void> {
    const { client, clock, signal, translate } = this.#options
    let failures = 0
    while (!signal.aborted) {
      let error: HeraldError
      try {
        for await (const message of client.subscribeToJwtBundles({ signal })) {
          failures = 0
          this.#take(message)
        }
        if (signal.aborted) return
        error = new HeraldError('ERR_SPIRE_UNREACHABLE', 'SPIRE closed the stream of JWT bundles')
      } catch (cause) {
        error = translate(cause)
      }
      this.#lost(error)
      failures += 1
      try {
        await clock.sleep(Math.min(50 * 2 ** failures, 2_000), { signal })
      } catch {
        return
      }
      // As soon as the channel is back, and now and then anyhow, to learn why it is not.
      if (isTransient(error) && !signal.aborted) await client.waitForConnection(5_000, { signal })
    }
  }

  #take({ bundles }: JwtBundlesResponse): void {
    const { log, clock } = this.#options
    const read = new Map<TrustDomain, JwtBundle>()
    for (const [key, document] of Object.entries(bundles)) {
      try {
        const trustDomain = parseTrustDomain(key)
        read.set(trustDomain, parseJwtBundle(trustDomain, document))
      } catch (error) {
        log.error(
          { event: 'spire.bundle.unreadable', trustDomain: key.slice(0, 300), err: error },
          'a JWT bundle cannot be used',
        )
      }
    }
    this.#bundles = read
    if (this.#status.kind !== 'ready')
      log.info({ event: 'spire.connected', trustDomains: [...read.keys()] }, 'SPIRE accepts this process')
    const since = this.#status.kind === 'ready' ? this.#status.since : new Date(clock.nowMs())
    this.#status = { kind: 'ready', since, trustDomains: [...read.keys()] }
    this.#tell()
  }

  #lost(error: HeraldError): void {
    const { log, clock } = this.#options
    const before = this.#status
    if (before.kind === 'unavailable' && before.error.code === error.code) return
    this.#status = { kind: 'unavailable', since: new Date(clock.nowMs()), error }
    log.warn({ event: 'spire.unavailable', code: error.code, hint: error.hint }, error.message)
    this.#tell()
  }

  #tell(): void {
    const news = this.#news
    this.#news = Promise.withResolvers()
    news.resolve()
  }

  #newsOrAbort(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        signal.removeEventListener('abort', end)
        resolve()
      }
      signal.addEventListener('abort', end)
      this.#news.promise.then(end)
    })
  }
}
