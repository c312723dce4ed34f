import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { parseX509Svid, type X509Svid } from '../../spiffe/x509-svid.ts'
import type { Selector } from '../selectors.ts'
import type { IssuedJwtSvid, SvidAuthority, X509Update } from '../svid-authority.ts'
import {
  connectDelegatedIdentity,
  type DelegatedIdentityClient,
  type X509SvidsResponse,
} from './delegated-identity-client.ts'
import { askHostSpiffeIds } from './host-spiffe-id.ts'
import { JwtBundles } from './jwt-bundles.ts'
import {
  delegateUnauthorized,
  explainUnreachable,
  fromSpireStatus,
  isTransient,
  noIdentityIssued,
  saysNoIdentityIssued,
} from './spire-status.ts'

export type SpireAuthorityOptions = {
  /** The agent's `admin_socket_path`; `unix://` before it is fine. It need not exist yet, and may come and go. */
  readonly adminSocketPath: string
  /** The agent's Workload API socket: only asked for the host's own SPIFFE ID, to name it when the host is refused as a delegate. */
  readonly workloadSocketPath?: string | undefined
  readonly log: Log
  readonly clock: Clock
}

/** SPIRE through the delegated identity API of its agent. Connects in the background; nothing is thrown here. */
export function createSpireAuthority(options: SpireAuthorityOptions): SvidAuthority {
  return new SpireAuthority(options, connectDelegatedIdentity(options.adminSocketPath))
}

class SpireAuthority implements SvidAuthority {
  readonly kind = 'spire'
  readonly #options: SpireAuthorityOptions
  readonly #client: DelegatedIdentityClient
  readonly #bundles: JwtBundles
  readonly #lifetime = new AbortController()
  readonly #following: Promise<void>
  #asking: Promise<void> | undefined

  constructor(options: SpireAuthorityOptions, client: DelegatedIdentityClient) {
    this.#options = options
    this.#client = client
    const { adminSocketPath, clock, log } = options
    this.#bundles = new JwtBundles({ client, adminSocketPath, clock, log, signal: this.#lifetime.signal })
    this.#following = this.#bundles.follow()
  }

  async fetchJwtSvids(
    { selectors, audiences }: { selectors: readonly Selector[]; audiences: readonly string[] },
    { signal: call }: { signal: AbortSignal },
  ): Promise<readonly IssuedJwtSvid[]> {
    const signal = AbortSignal.any([call, this.#lifetime.signal])
    let last: HeraldError | undefined
    for (let attempt = 1; ; attempt++) {
      try {
        const { svids } = await this.#client.fetchJwtSvids({ audience: audiences, selectors }, { signal })
        return svids.map(({ token, hint }) => ({ token, hint: hint === '' ? undefined : hint }))
      } catch (cause) {
        if (signal.aborted) throw last ?? (await this.#reasonOf(signal))
        last = await this.#translate(cause)
        if (!isTransient(last)) throw last
      }
      await this.#options.clock.sleep(Math.min(50 * 2 ** attempt, 2_000), { signal }).catch(() => {})
    }
  }

  async *watchX509(
    { selectors }: { selectors: readonly Selector[] },
    { signal: call, withSvids = false }: { signal: AbortSignal; withSvids?: boolean },
  ): AsyncGenerator<X509Update> {
    const { clock, adminSocketPath } = this.#options
    const signal = AbortSignal.any([call, this.#lifetime.signal])
    let failures = 0
    while (!signal.aborted) {
      try {
        for await (const message of this.#client.subscribeToX509Svids({ selectors }, { signal, waitForReady: true })) {
          failures = 0
          const spiffeIds = spiffeIdsOf(message)
          yield withSvids
            ? { kind: 'entitled', spiffeIds, svids: this.#svidsOf(message) }
            : { kind: 'entitled', spiffeIds }
        }
      } catch (cause) {
        yield { kind: 'interrupted', error: fromSpireStatus(cause, adminSocketPath) }
      }
      failures += 1
      // Spread, since all components' streams break in the same moment.
      const pauseMs = Math.min(50 * 2 ** failures, 2_000) * (0.5 + Math.random())
      await clock.sleep(pauseMs, { signal }).catch(() => {})
    }
  }

  currentJwtBundle: SvidAuthority['currentJwtBundle'] = (trustDomain) => this.#bundles.current(trustDomain)

  jwtBundle: SvidAuthority['jwtBundle'] = (trustDomain, options) => this.#bundles.get(trustDomain, options)

  status: SvidAuthority['status'] = () => this.#bundles.status

  async diagnose({ signal }: { signal: AbortSignal }): Promise<void> {
    const { adminSocketPath } = this.#options
    const ended = AbortSignal.any([signal, this.#lifetime.signal])
    try {
      for await (const _ of this.#client.subscribeToJwtBundles({ signal: ended })) return
    } catch (cause) {
      throw await this.#withHostSpiffeId(fromSpireStatus(cause, adminSocketPath))
    }
    throw await explainUnreachable(adminSocketPath)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lifetime.abort(new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the connection to SPIRE is closed'))
    await this.#following
    this.#client.close()
  }

  /** SPIRE says "no identity issued" of the component as of the host: whether the host may open a stream tells which. */
  async #translate(cause: unknown): Promise<HeraldError> {
    if (!saysNoIdentityIssued(cause))
      return this.#withHostSpiffeId(fromSpireStatus(cause, this.#options.adminSocketPath))
    try {
      this.#asking ??= this.diagnose({ signal: AbortSignal.timeout(5_000) }).finally(() => {
        this.#asking = undefined
      })
      await this.#asking
      return noIdentityIssued(cause)
    } catch (error) {
      return error as HeraldError
    }
  }

  #svidsOf({ x509_svids }: X509SvidsResponse): readonly X509Svid[] {
    const svids: X509Svid[] = []
    for (const { x509_svid, x509_svid_key } of x509_svids) {
      try {
        svids.push(parseX509Svid(x509_svid?.cert_chain ?? [], x509_svid_key))
      } catch (error) {
        this.#options.log.error({ event: 'svid.x509.unreadable', err: error }, 'an X.509-SVID of SPIRE cannot be used')
      }
    }
    return svids
  }

  async #withHostSpiffeId(error: HeraldError): Promise<HeraldError> {
    const { workloadSocketPath } = this.#options
    if (error.code !== 'ERR_SPIRE_DELEGATE_UNAUTHORIZED' || workloadSocketPath === undefined) return error
    return delegateUnauthorized(await askHostSpiffeIds(workloadSocketPath), error.cause)
  }

  async #reasonOf(signal: AbortSignal): Promise<HeraldError> {
    return signal.reason instanceof HeraldError ? signal.reason : explainUnreachable(this.#options.adminSocketPath)
  }
}

function spiffeIdsOf({ x509_svids }: X509SvidsResponse): readonly SpiffeId[] {
  const ids: SpiffeId[] = []
  for (const { x509_svid } of x509_svids) {
    if (x509_svid?.id) ids.push(parseSpiffeId(`spiffe://${x509_svid.id.trust_domain}${x509_svid.id.path}`))
  }
  return ids
}
