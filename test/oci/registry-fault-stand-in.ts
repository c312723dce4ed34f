import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a stand-in does instead of answering as a registry: returns true when it has dealt with the request. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * A stand-in for a registry that fails in ways the real one cannot be made to: it holds artifacts in memory, answers GET and HEAD with
 * Range, and lets a test put a fault in front of any request. What a healthy registry does is tested against the real one.
 */
export interface RegistryFaultStandIn extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly host: string
  /** Of every request so far: method, path and headers, as they came. */
  readonly requests: readonly { method: string; path: string; headers: NodeJS.Dict<string | string[]> }[]
  fault: Fault | undefined
  /** A CNCF wasm artifact under `repository:latest` and `repository:1`. */
  addArtifact(
    repository: string,
    layer: Uint8Array,
    options?: { layerType?: string; configType?: string },
  ): { manifestDigest: string; layerDigest: string }
  addDocument(repository: string, reference: string, contentType: string, bytes: Uint8Array): void
}

export async function startRegistryFaultStandIn(): Promise<RegistryFaultStandIn> {
  const documents = new Map<string, { contentType: string; bytes: Uint8Array }>()
  const blobs = new Map<string, Uint8Array>()
  const requests: { method: string; path: string; headers: NodeJS.Dict<string | string[]> }[] = []
  const standIn = { fault: undefined as Fault | undefined }

  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push({ method: request.method ?? '', path, headers: request.headers })
    if (standIn.fault?.(request, response)) return
    const manifest = documents.get(path)
    const blob = blobs.get(/\/blobs\/(sha256:[0-9a-f]{64})/.exec(path)?.[1] ?? '')
    if (manifest !== undefined) {
      response.writeHead(200, { 'content-type': manifest.contentType, 'docker-content-digest': digest(manifest.bytes) })
      response.end(request.method === 'HEAD' ? undefined : manifest.bytes)
    } else if (blob !== undefined) {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      if (start > 0)
        response.writeHead(206, {
          'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}`,
          'content-length': blob.length - start,
        })
      else response.writeHead(200, { 'content-length': blob.length })
      response.end(blob.subarray(start))
    } else {
      answerError(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown')
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const addDocument = (repository: string, reference: string, contentType: string, bytes: Uint8Array) => {
    for (const each of [reference, digest(bytes)])
      documents.set(`/v2/${repository}/manifests/${each}`, { contentType, bytes })
  }
  return Object.assign(standIn, {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    addDocument,
    addArtifact(
      repository: string,
      layer: Uint8Array,
      { layerType = 'application/wasm', configType = 'application/vnd.wasm.config.v0+json' } = {},
    ) {
      const config = Buffer.from(JSON.stringify({ architecture: 'wasm', os: 'wasip2', layerDigests: [digest(layer)] }))
      blobs.set(digest(layer), layer)
      blobs.set(digest(config), config)
      const mediaType = 'application/vnd.oci.image.manifest.v1+json'
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType,
          config: { mediaType: configType, digest: digest(config), size: config.length },
          layers: [{ mediaType: layerType, digest: digest(layer), size: layer.length }],
        }),
      )
      for (const tag of ['latest', '1']) addDocument(repository, tag, mediaType, manifest)
      return { manifestDigest: digest(manifest), layerDigest: digest(layer) }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

export function answerError(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): true {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify({ errors: [{ code, message }] }))
  return true
}

export function digest(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
