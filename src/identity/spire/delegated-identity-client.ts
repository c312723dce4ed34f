import { fileURLToPath } from 'node:url'
import {
  type CallOptions,
  Client,
  connectivityState,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync, type Options } from '@grpc/proto-loader'
import type { Selector } from '../selectors.ts'

/** The messages, as proto-loader gives them with the options below. */
export type WireSpiffeId = { readonly trust_domain: string; readonly path: string }
export type FetchJwtSvidsResponse = { readonly svids: readonly { readonly token: string; readonly hint: string }[] }
export type X509SvidsResponse = {
  readonly x509_svids: readonly {
    readonly x509_svid: { readonly id: WireSpiffeId | null; readonly cert_chain: readonly Buffer[] } | null
    readonly x509_svid_key: Buffer
  }[]
}
export type JwtBundlesResponse = { readonly bundles: Readonly<Record<string, Buffer>> }

export type StreamOptions = {
  readonly signal: AbortSignal
  /** Wait for the connection instead of failing at once without one. Default: false. */
  readonly waitForReady?: boolean
}

/** SPIRE's delegated identity API over one channel, with the statuses as they come. */
export interface DelegatedIdentityClient {
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
  subscribeToJwtBundles(options: StreamOptions): AsyncIterable<JwtBundlesResponse>
  /** Resolves when there is a connection, and in any case after `timeoutMs` or when the signal aborts. */
  waitForConnection(timeoutMs: number, options: { signal: AbortSignal }): Promise<void>
  close(): void
}

// Three levels up is the package's root from src/identity/spire as from dist/identity/spire.
const protoDirectory = fileURLToPath(new URL('../../../proto/spire/', import.meta.url))

export const protoLoaderOptions: Options = {
  keepCase: true,
  longs: String,
  // Without it an empty repeated field is undefined, and an entry that is gone looks like no message.
  arrays: true,
  objects: true,
  defaults: true,
  includeDirs: [protoDirectory],
}

/** `admin.sock`, `unix:/run/admin.sock` or `unix:///run/admin.sock`, as grpc wants it. */
export function socketTarget(socketPath: string): string {
  return `unix:${socketPath.replace(/^unix:(\/\/)?/, '')}`
}

export function connectDelegatedIdentity(adminSocketPath: string): DelegatedIdentityClient {
  const definition = loadSync('delegated-identity.proto', protoLoaderOptions)
  const service = definition['spire.api.agent.delegatedidentity.v1.DelegatedIdentity'] as ServiceDefinition
  const method = <Request, Response>(name: string): MethodDefinition<Request, Response> =>
    service[name] as unknown as MethodDefinition<Request, Response>
  const fetchMethod = method<object, FetchJwtSvidsResponse>('FetchJWTSVIDs')
  const x509Method = method<object, X509SvidsResponse>('SubscribeToX509SVIDs')
  const bundlesMethod = method<object, JwtBundlesResponse>('SubscribeToJWTBundles')

  const client = new Client(socketTarget(adminSocketPath), credentials.createInsecure(), {
    // An agent that restarts is back within a second; grpc's own 1 s to 120 s would sleep through it.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    'grpc.max_receive_message_length': 20 * 1024 * 1024,
    'grpc.max_send_message_length': 20 * 1024 * 1024,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
  })

  function metadata(waitForReady: boolean): Metadata {
    return new Metadata({ waitForReady })
  }

  async function* stream<Response>(
    { path, requestSerialize, responseDeserialize }: MethodDefinition<object, Response>,
    request: object,
    { signal, waitForReady = false }: StreamOptions,
  ): AsyncGenerator<Response> {
    if (signal.aborted) return
    const options: CallOptions = {}
    const call = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata(waitForReady),
      options,
    )
    const cancel = (): void => call.cancel()
    signal.addEventListener('abort', cancel)
    try {
      for await (const message of call) yield message as Response
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      signal.removeEventListener('abort', cancel)
      call.cancel()
    }
  }

  return {
    fetchJwtSvids: (request, { signal }) =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = fetchMethod
        const call = client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata(true),
          {},
          (error: ServiceError | null, response?: FetchJwtSvidsResponse) => {
            signal.removeEventListener('abort', cancel)
            if (error === null && response !== undefined) resolve(response)
            else reject(error)
          },
        )
        const cancel = (): void => call.cancel()
        if (signal.aborted) cancel()
        else signal.addEventListener('abort', cancel)
      }),
    subscribeToX509Svids: (request, options) => stream(x509Method, request, options),
    subscribeToJwtBundles: (options) => stream(bundlesMethod, {}, options),
    waitForConnection: (timeoutMs, { signal }) =>
      new Promise((resolve) => {
        const channel = client.getChannel()
        const deadline = Date.now() + timeoutMs
        const end = (): void => {
          signal.removeEventListener('abort', end)
          resolve()
        }
        // Not client.waitForReady: told that the channel is being closed, it watches anew, with a timer that nothing ends.
        const look = (error?: Error): void => {
          const state =
            error === undefined && !signal.aborted ? channel.getConnectivityState(true) : connectivityState.READY
          if (state === connectivityState.READY) end()
          else channel.watchConnectivityState(state, deadline, look)
        }
        signal.addEventListener('abort', end)
        look()
      }),
    close: () => client.close(),
  }
}
