import { Client, credentials, Metadata, type MethodDefinition, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { protoLoaderOptions, socketTarget } from './delegated-identity-client.ts'

type X509SvidResponse = { readonly svids: readonly { readonly spiffe_id: string }[] }

/** The SPIFFE IDs that the Workload API gives this very process; none when it cannot be asked within `timeoutMs`. Never throws. */
export async function askHostSpiffeIds(workloadSocketPath: string, timeoutMs = 1_000): Promise<readonly SpiffeId[]> {
  const definition = loadSync('workload.proto', protoLoaderOptions)
  const service = definition.SpiffeWorkloadAPI as ServiceDefinition
  const { path, requestSerialize, responseDeserialize } = service.FetchX509SVID as unknown as MethodDefinition<
    object,
    X509SvidResponse
  >
  const client = new Client(socketTarget(workloadSocketPath), credentials.createInsecure())
  const metadata = new Metadata()
  // SPIFFE Workload Endpoint §4: protects against requests that a browser or proxy was tricked into.
  metadata.set('workload.spiffe.io', 'true')
  const deadline = Date.now() + timeoutMs
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata, { deadline })
  try {
    for await (const { svids } of call as AsyncIterable<X509SvidResponse>) {
      return svids.map(({ spiffe_id }) => parseSpiffeId(spiffe_id))
    }
    return []
  } catch {
    return []
  } finally {
    call.cancel()
    client.close()
  }
}
