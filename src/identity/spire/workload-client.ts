import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'
import type { JwtBundlesResponse } from './delegated-identity-client.ts'
import { openSpireChannel, type SpireChannel, type StreamOptions } from './spire-channel.ts'

/** The messages, as proto-loader gives them. */
export type WorkloadX509Response = {
  readonly svids: readonly {
    readonly spiffe_id: string
    /** DER, concatenated, leaf first. */
    readonly x509_svid: Buffer
    readonly x509_svid_key: Buffer
    /** DER, concatenated: the authorities of the SVID's own trust domain. */
    readonly bundle: Buffer
  }[]
  readonly federated_bundles: Readonly<Record<string, Buffer>>
}
export type WorkloadJwtResponse = { readonly svids: readonly { readonly svid: string; readonly hint: string }[] }

/** The SPIFFE Workload API over one channel, with the statuses as they come. */
export interface WorkloadClient extends Pick<SpireChannel, 'waitForConnection' | 'close'> {
  /** Ends when the signal aborts. @throws ServiceError */
  subscribeToX509Svids(options: StreamOptions): AsyncIterable<WorkloadX509Response>
  /** Waits for the connection. `spiffe_id`: `''` for all that the process has. @throws ServiceError */
  fetchJwtSvids(
    request: { audience: readonly string[]; spiffe_id: string },
    options: { signal: AbortSignal },
  ): Promise<WorkloadJwtResponse>
  /** Ends when the signal aborts. @throws ServiceError */
  subscribeToJwtBundles(options: StreamOptions): AsyncIterable<JwtBundlesResponse>
}

export function connectWorkloadApi(socketPath: string): WorkloadClient {
  const channel = openSpireChannel(socketPath, {
    proto: 'workload.proto',
    name: 'SpiffeWorkloadAPI',
    // SPIFFE Workload Endpoint §4: protects against requests that a browser or proxy was tricked into.
    metadata: { 'workload.spiffe.io': 'true' },
  })
  return {
    subscribeToX509Svids: (options) => channel.stream('FetchX509SVID', {}, options),
    fetchJwtSvids: (request, options) => channel.ask('FetchJWTSVID', request, options),
    subscribeToJwtBundles: (options) => channel.stream('FetchJWTBundles', {}, options),
    waitForConnection: channel.waitForConnection,
    close: channel.close,
  }
}

/** The SPIFFE IDs that the Workload API gives this very process; none when it cannot be asked within `timeoutMs`. Never throws. */
export async function askHostSpiffeIds(socketPath: string, timeoutMs = 1_000): Promise<readonly SpiffeId[]> {
  const client = connectWorkloadApi(socketPath)
  try {
    for await (const { svids } of client.subscribeToX509Svids({ signal: AbortSignal.timeout(timeoutMs) })) {
      return svids.map(({ spiffe_id }) => parseSpiffeId(spiffe_id))
    }
    return []
  } catch {
    return []
  } finally {
    client.close()
  }
}
