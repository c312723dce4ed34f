import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import type { X509Svid } from '../../spiffe/x509-svid.ts'
import type { Selector } from '../selectors.ts'
import type { IssuedJwtSvid, SvidAuthority, X509Update } from '../svid-authority.ts'
import {
  connectDelegatedIdentity,
  type DelegatedIdentityClient,
  type X509SvidsResponse,
} from './delegated-identity-client.ts'
import { JwtBundles } from './jwt-bundles.ts'
import { readX509Svids } from './read-x509-svids.ts'
import { reopenedStream } from './reopened-stream.ts'
import {
  delegateUnauthorized,
  explainUnreachable,
  fromSpireStatus,
  noIdentityIssued,
  saysNoIdentityIssued,
} from './spire-status.ts'
import { untilAnswered } from './until-answered.ts'
import { askHostSpiffeIds } from './workload-client.ts'
import { X509Bundles } from './x509-bundles.ts'

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
  readonly #x509Bundles: X509Bundles
  readonly #lifetime = new AbortController()
  readonly #following: Promise<void>
  #asking: Promise<void> | undefined

  constructor(options: SpireAuthorityOptions, client: DelegatedIdentityClient) {
    this.#options = options
    this.#client = client
    const { adminSocketPath, clock, log } = options
    this.#bundles = new JwtBundles({
      client,
      translate: (cause) => fromSpireStatus(cause, adminSocketPath),
      clock,
      log,
      signal: this.#lifetime.signal,
    })
    this.#following = this.#bundles.follow()
    const { signal } = this.#lifetime
    this.#x509Bundles = new X509Bundles({
      async *open() {
        for await (const { ca_certificates } of client.subscribeToX509Bundles({ signal, waitForReady: true }))
          yield ca_certificates
      },
      translate: (cause) => fromSpireStatus(cause, adminSocketPath),
      clock,
      log,
      signal,
    })
  }

  async fetchJwtSvids(
    { selectors, audiences }: { selectors: readonly Selector[]; audiences: readonly string[] },
    { signal: call }: { signal: AbortSignal },
  ): Promise<readonly IssuedJwtSvid[]> {
    const signal = AbortSignal.any([call, this.#lifetime.signal])
    return untilAnswered(
      async () => {
        const { svids } = await this.#client.fetchJwtSvids({ audience: audiences, selectors }, { signal })
        return svids.map(({ token, hint }) => ({ token, hint: hint === '' ? undefined : hint }))
      },
      {
        clock: this.#options.clock,
        signal,
        translate: (cause) => this.#translate(cause),
        whenNone: () => this.#reasonOf(signal),
      },
    )
  }

  async *watchX509(
    { selectors }: { selectors: readonly Selector[] },
    { signal: call, withSvids = false }: { signal: AbortSignal; withSvids?: boolean },
  ): AsyncGenerator<X509Update> {
    const { clock, adminSocketPath } = this.#options
    const signal = AbortSignal.any([call, this.#lifetime.signal])
    const open = () => this.#client.subscribeToX509Svids({ selectors }, { signal, waitForReady: true })
    const translate = (cause: unknown): HeraldError => fromSpireStatus(cause, adminSocketPath)
    for await (const news of reopenedStream(open, { clock, signal, translate })) {
      if (news.kind === 'interrupted') yield news
      else {
        const { message } = news
        yield {
          ...{ kind: 'entitled', spiffeIds: spiffeIdsOf(message), federatesWith: trustDomainsOf(message) },
          ...(withSvids && { svids: this.#svidsOf(message) }),
        }
      }
    }
  }

  currentJwtBundle: SvidAuthority['currentJwtBundle'] = (trustDomain) => this.#bundles.current(trustDomain)

  jwtBundle: SvidAuthority['jwtBundle'] = (trustDomain, options) => this.#bundles.get(trustDomain, options)

  x509Bundle: NonNullable<SvidAuthority['x509Bundle']> = (trustDomain, options) =>
    this.#x509Bundles.get(trustDomain, options)

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
    return readX509Svids(
      x509_svids.map(({ x509_svid, x509_svid_key }) => ({ chain: x509_svid?.cert_chain ?? [], key: x509_svid_key })),
      this.#options.log,
    )
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

function trustDomainsOf({ federates_with }: X509SvidsResponse): readonly TrustDomain[] {
  return federates_with.map((id) => parseTrustDomain(id))
}

function spiffeIdsOf({ x509_svids }: X509SvidsResponse): readonly SpiffeId[] {
  const ids: SpiffeId[] = []
  for (const { x509_svid } of x509_svids) {
    if (x509_svid?.id) ids.push(parseSpiffeId(`spiffe://${x509_svid.id.trust_domain}${x509_svid.id.path}`))
  }
  return ids
}
