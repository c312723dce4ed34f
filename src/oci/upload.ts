import { HeraldError } from '../errors/herald-error.ts'
import { digestOf, type OciDigest } from './oci-digest.ts'
import { mediaTypes } from './oci-manifest.ts'
import type { RegistrySession } from './registry-transport.ts'

export type UploadOptions = {
  readonly what: string
  readonly signal: AbortSignal
  /** Called with how much of the blob has gone out; once with all of it when the registry had it. */
  readonly onSent?: ((bytes: number) => void) | undefined
}

/** Pushes a blob in one piece unless the registry has it. Distribution specification, "Pushing a blob monolithically". @throws ERR_OCI_… */
export async function uploadBlob(
  session: RegistrySession,
  repository: string,
  bytes: Uint8Array,
  { what, signal, onSent }: UploadOptions,
): Promise<OciDigest> {
  const digest = digestOf(bytes)
  const head = await session.request({
    method: 'HEAD',
    target: `/v2/${repository}/blobs/${digest}`,
    expect: [200, 404],
    what,
    signal,
  })
  if (head.status === 200) {
    onSent?.(bytes.length)
    return digest
  }
  const opened = await session.request({
    method: 'POST',
    target: `/v2/${repository}/blobs/uploads/`,
    expect: [202],
    what,
    signal,
  })
  await opened.body?.cancel().catch(() => {})
  const location = opened.headers.get('location')
  if (location === null) {
    throw new HeraldError('ERR_OCI_PUSH_REFUSED', `${what}: the registry gave no address to upload to`, {
      hint: 'check that it accepts pushes',
    })
  }
  const base = new URL(location, opened.url)
  base.searchParams.set('digest', digest)
  const put = await session.request({
    method: 'PUT',
    target: base.href,
    headers: { 'content-type': 'application/octet-stream' },
    body: bytes,
    onSent,
    expect: [201, 202, 204],
    what,
    signal,
  })
  await put.body?.cancel().catch(() => {})
  onSent?.(bytes.length)
  return digest
}

/** @throws ERR_OCI_DIGEST_MISMATCH when the registry says it stored other bytes; ERR_OCI_… */
export async function uploadManifest(
  session: RegistrySession,
  { repository, tag }: { repository: string; tag: string | undefined },
  manifest: Uint8Array,
  { what, signal }: UploadOptions,
): Promise<OciDigest> {
  const digest = digestOf(manifest)
  const response = await session.request({
    method: 'PUT',
    target: `/v2/${repository}/manifests/${tag ?? digest}`,
    headers: { 'content-type': mediaTypes.manifest },
    body: manifest,
    expect: [201],
    what,
    signal,
  })
  await response.body?.cancel().catch(() => {})
  const stored = response.headers.get('docker-content-digest')
  if (stored !== null && stored !== digest) {
    throw new HeraldError(
      'ERR_OCI_DIGEST_MISMATCH',
      `${what}: the registry stored a manifest with another digest than ${digest}`,
      {
        hint: 'look at what lies between this machine and the registry',
      },
    )
  }
  return digest
}
