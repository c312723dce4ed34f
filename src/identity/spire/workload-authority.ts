import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import { parseSpiffeId } from '../../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../spiffe/trust-domain.ts'
import type { X509Bundle } from '../../spiffe/x509-bundle.ts'
import type { IssuedJwtSvid, SvidAuthority, X509Update } from '../svid-authority.ts'
import { JwtBundles } from './jwt-bundles.ts'
import { readX509Svids } from './read-x509-svids.ts'
import { reopenedStream } from './reopened-stream.ts'
import { explainUnreachable, fromSpireStatus } from './spire-status.ts'
import { untilAnswered } from './until-answered.ts'
import { connectWorkloadApi, type WorkloadClient, type WorkloadX509Response } from './workload-client.ts'
import { readX509Bundles } from './x509-bundles.ts'

export type WorkloadAuthorityOptions = {
  /** The agent's `socket_path`; `unix://` before it is fine. It need not exist yet, and may come and go. */
  readonly socketPath: string
  readonly log: Log
  readonly clock: Clock
}

/** {@link SvidAuthority} for this very process: whatever selectors it is given, the agent attests who asks. */
export interface WorkloadAuthority extends SvidAuthority {
  /** The certificates of a trust domain as last learned; known once `watchX509` has said something. */
  currentX509Bundle(trustDomain: TrustDomain): X509Bundle | undefined
}

/** SPIRE, or any other, through the SPIFFE Workload API. Connects in the background; nothing is thrown here. */
export function createWorkloadAuthority(options: WorkloadAuthorityOptions): WorkloadAuthority {
  return new WorkloadApiAuthority(options, connectWorkloadApi(options.socketPath))
}

class WorkloadApiAuthority implements WorkloadAuthority {
  readonly kind = 'spire'
  readonly #options: WorkloadAuthorityOptions
  readonly #client: WorkloadClient
  readonly #jwtBundles: JwtBundles
  readonly #lifetime = new AbortController()
  readonly #following: Promise<void>
  #x509Bundles: ReadonlyMap<TrustDomain, X509Bundle> = new Map()

  constructor(options: WorkloadAuthorityOptions, client: WorkloadClient) {
    this.#options = options
    this.#client = client
    const { clock, log } = options
    const { signal } = this.#lifetime
    this.#jwtBundles = new JwtBundles({ client, translate: this.#translate, clock, log, signal })
    this.#following = this.#jwtBundles.follow()
  }

  readonly #translate = (cause: unknown): HeraldError => fromSpireStatus(cause, this.#options.socketPath, 'Workload')

  fetchJwtSvids(
    { audiences }: { audiences: readonly string[] },
    { signal: call }: { signal: AbortSignal },
  ): Promise<readonly IssuedJwtSvid[]> {
    const signal = AbortSignal.any([call, this.#lifetime.signal])
    return untilAnswered(
      async () => {
        const { svids } = await this.#client.fetchJwtSvids({ audience: audiences, spiffe_id: '' }, { signal })
        return svids.map(({ svid, hint }) => ({ token: svid, hint: hint === '' ? undefined : hint }))
      },
      {
        clock: this.#options.clock,
        signal,
        translate: this.#translate,
        whenNone: () => explainUnreachable(this.#options.socketPath),
      },
    )
  }

  async *watchX509(
    _: object,
    { signal: call, withSvids = false }: { signal: AbortSignal; withSvids?: boolean },
  ): AsyncGenerator<X509Update> {
    const signal = AbortSignal.any([call, this.#lifetime.signal])
    const open = () => this.#client.subscribeToX509Svids({ signal, waitForReady: true })
    const { clock, log } = this.#options
    for await (const news of reopenedStream(open, { clock, signal, translate: this.#translate })) {
      if (news.kind === 'interrupted') {
        yield news
        continue
      }
      this.#keepBundles(news.message)
      const spiffeIds = news.message.svids.map(({ spiffe_id }) => parseSpiffeId(spiffe_id))
      if (!withSvids) yield { kind: 'entitled', spiffeIds }
      else {
        const wire = news.message.svids.map(({ x509_svid, x509_svid_key }) => ({
          chain: x509_svid,
          key: x509_svid_key,
        }))
        yield { kind: 'entitled', spiffeIds, svids: readX509Svids(wire, log) }
      }
    }
  }

  #keepBundles({ svids, federated_bundles }: WorkloadX509Response): void {
    const own = svids.map(({ spiffe_id, bundle }) => [`spiffe://${spiffe_id.split('/')[2]}`, bundle] as const)
    this.#x509Bundles = readX509Bundles([...own, ...Object.entries(federated_bundles)], this.#options.log)
  }

  currentX509Bundle(trustDomain: TrustDomain): X509Bundle | undefined {
    return this.#x509Bundles.get(trustDomain)
  }

  currentJwtBundle: SvidAuthority['currentJwtBundle'] = (trustDomain) => this.#jwtBundles.current(trustDomain)

  jwtBundle: SvidAuthority['jwtBundle'] = (trustDomain, options) => this.#jwtBundles.get(trustDomain, options)

  status: SvidAuthority['status'] = () => this.#jwtBundles.status

  async diagnose({ signal }: { signal: AbortSignal }): Promise<void> {
    const ended = AbortSignal.any([signal, this.#lifetime.signal])
    try {
      for await (const _ of this.#client.subscribeToX509Svids({ signal: ended })) return
    } catch (cause) {
      throw this.#translate(cause)
    }
    throw await explainUnreachable(this.#options.socketPath)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lifetime.abort(new HeraldError('ERR_SVID_SOURCE_CLOSED', 'the connection to SPIRE is closed'))
    await this.#following
    this.#client.close()
  }
}
