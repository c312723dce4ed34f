import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import { parseX509Bundle, type X509Bundle } from '../../spiffe/x509-bundle.ts'
import { reopenedStream } from './reopened-stream.ts'

export type X509BundlesOptions = {
  readonly open: () => AsyncIterable<Readonly<Record<string, Uint8Array>>>
  /** Of the failure of a call. */
  readonly translate: (cause: unknown) => HeraldError
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

/** The X.509 bundles of all trust domains, kept current by one stream that is opened at the first question. */
export class X509Bundles {
  readonly #options: X509BundlesOptions
  #bundles: ReadonlyMap<TrustDomain, X509Bundle> = new Map()
  #following = false
  #news = Promise.withResolvers<void>()

  constructor(options: X509BundlesOptions) {
    this.#options = options
  }

  /** Waits, until the signal aborts, for one that is not known yet. @throws ERR_X509_BUNDLE_UNKNOWN */
  async get(trustDomain: TrustDomain, { signal }: { signal: AbortSignal }): Promise<X509Bundle> {
    this.#follow()
    for (;;) {
      const bundle = this.#bundles.get(trustDomain)
      if (bundle !== undefined) return bundle
      if (signal.aborted) {
        throw new HeraldError(
          'ERR_X509_BUNDLE_UNKNOWN',
          `SPIRE has given no X.509 bundle of the trust domain ${trustDomain}`,
          { hint: 'see whether the agent is reachable, and whether the trust domain is federated' },
        )
      }
      await Promise.race([this.#news.promise, aborted(signal)])
    }
  }

  #follow(): void {
    if (this.#following) return
    this.#following = true
    this.#followForever().catch((error: unknown) =>
      this.#options.log.error({ event: 'spire.bundle.failed', err: error }, 'the stream of X.509 bundles ended'),
    )
  }

  async #followForever(): Promise<void> {
    for await (const news of reopenedStream(this.#options.open, this.#options)) {
      if (news.kind === 'interrupted') continue
      this.#bundles = readX509Bundles(Object.entries(news.message), this.#options.log)
      this.#news.resolve()
      this.#news = Promise.withResolvers()
    }
  }
}

/** Those that can be used; the others are said to the log. */
export function readX509Bundles(
  wire: readonly (readonly [trustDomain: string, der: Uint8Array])[],
  log: Log,
): ReadonlyMap<TrustDomain, X509Bundle> {
  const read = new Map<TrustDomain, X509Bundle>()
  for (const [key, der] of wire) {
    try {
      const trustDomain = parseTrustDomain(key)
      read.set(trustDomain, parseX509Bundle(trustDomain, der))
    } catch (error) {
      const record = { event: 'spire.bundle.unreadable', trustDomain: key.slice(0, 300), err: error }
      log.error(record, 'an X.509 bundle cannot be used')
    }
  }
  return read
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
