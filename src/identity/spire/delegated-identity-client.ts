import type { Selector } from '../selectors.ts'
import { openSpireChannel, type SpireChannel, type StreamOptions } from './spire-channel.ts'

/** The messages, as proto-loader gives them. */
export type WireSpiffeId = { readonly trust_domain: string; readonly path: string }
export type FetchJwtSvidsResponse = { readonly svids: readonly { readonly token: string; readonly hint: string }[] }
export type X509SvidsResponse = {
  readonly x509_svids: readonly {
    readonly x509_svid: { readonly id: WireSpiffeId | null; readonly cert_chain: readonly Buffer[] } | null
    readonly x509_svid_key: Buffer
  }[]
  readonly federates_with: readonly string[]
}
export type X509BundlesResponse = { readonly ca_certificates: Readonly<Record<string, Buffer>> }
export type JwtBundlesResponse = { readonly bundles: Readonly<Record<string, Buffer>> }

/** SPIRE's delegated identity API over one channel, with the statuses as they come. */
export interface DelegatedIdentityClient extends Pick<SpireChannel, 'waitForConnection' | 'close'> {
  /** Waits for the connection. @throws ServiceError */
  fetchJwtSvids(
    request: { audience: readonly string[]; selectors: readonly Selector[] },
    options: { signal: AbortSignal },
  ): Promise<FetchJwtSvidsResponse>
  /** Ends when the signal aborts. @throws ServiceError */
  subscribeToX509Svids(
    request: { selectors: readonly Selector[] },
    options: StreamOptions,
  ): AsyncIterable<X509SvidsResponse>
  /** Ends when the signal aborts. @throws ServiceError */
  subscribeToX509Bundles(options: StreamOptions): AsyncIterable<X509BundlesResponse>
  /** Ends when the signal aborts. @throws ServiceError */
  subscribeToJwtBundles(options: StreamOptions): AsyncIterable<JwtBundlesResponse>
}

export function connectDelegatedIdentity(adminSocketPath: string): DelegatedIdentityClient {
  const channel = openSpireChannel(adminSocketPath, {
    proto: 'delegated-identity.proto',
    name: 'spire.api.agent.delegatedidentity.v1.DelegatedIdentity',
  })
  return {
    fetchJwtSvids: (request, options) => channel.ask('FetchJWTSVIDs', request, options),
    subscribeToX509Svids: (request, options) => channel.stream('SubscribeToX509SVIDs', request, options),
    subscribeToX509Bundles: (options) => channel.stream('SubscribeToX509Bundles', {}, options),
    subscribeToJwtBundles: (options) => channel.stream('SubscribeToJWTBundles', {}, options),
    waitForConnection: channel.waitForConnection,
    close: channel.close,
  }
}
