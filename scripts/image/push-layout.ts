import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/clock/clock.ts'
import type { Log } from '../../src/observability/log.ts'
import type { OciCredentialSource } from '../../src/oci/oci-credentials.ts'
import type { OciDigest } from '../../src/oci/oci-digest.ts'
import { parseOciReference } from '../../src/oci/oci-reference.ts'
import { createRegistryTransport } from '../../src/oci/registry-transport.ts'
import { uploadBlob, uploadManifest } from '../../src/oci/upload.ts'
import { type Descriptor, readLayoutBlob } from './oci-layout.ts'

export type PushLayoutOptions = {
  readonly credentials?: OciCredentialSource
  readonly plainHttpRegistries?: readonly string[]
  readonly log: Log
  readonly signal: AbortSignal
}

/** Pushes the image of a layout by Herald's own registry client; what the registry has already is not sent. @throws ERR_OCI_… */
export async function pushLayout(directory: string, reference: string, options: PushLayoutOptions): Promise<OciDigest> {
  const { log, signal, plainHttpRegistries = [] } = options
  const target = parseOciReference(reference)
  const transport = createRegistryTransport({
    fetch: globalThis.fetch,
    clock: systemClock,
    log,
    random: Math.random,
    plainHttpRegistries,
    idleTimeoutMs: 120_000,
    maxAttempts: 5,
    maxRetryAfterMs: 30_000,
  })
  const credentials = await options.credentials?.find(target.registry, { signal })
  const session = transport.session(target.registry, `repository:${target.repository}:pull,push`, credentials)
  const { manifests } = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as { manifests: [Descriptor] }
  const manifest = readLayoutBlob(directory, manifests[0].digest)
  const { config, layers } = JSON.parse(manifest.toString()) as { config: Descriptor; layers: Descriptor[] }
  const at = { what: reference, signal }
  for (const { digest } of [...layers, config])
    await uploadBlob(session, target.repository, readLayoutBlob(directory, digest), at)
  return await uploadManifest(session, target, manifest, at)
}
