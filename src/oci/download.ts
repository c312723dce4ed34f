import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { digestOf, digestOfLarge, isDigest, type OciDigest } from './oci-digest.ts'
import { mediaTypes, type OciDescriptor } from './oci-manifest.ts'
import type { OciReference } from './oci-reference.ts'
import type { RegistrySession } from './registry-transport.ts'

/** A manifest larger than this is refused, as distribution's own servers do. */
const maxManifestBytes = 4 * 1024 * 1024
/** Breaks in a row without a single new byte before a download is given up, and breaks in all. */
const maxBarrenBreaks = 4
const maxBreaks = 50

export type DownloadOptions = { readonly what: string; readonly signal: AbortSignal }

/** Fetches a manifest by digest, else by tag, and checks it. @throws ERR_OCI_… */
export async function downloadManifest(
  session: RegistrySession,
  reference: Pick<OciReference, 'repository' | 'tag' | 'digest'>,
  { what, signal }: DownloadOptions,
): Promise<{ bytes: Uint8Array; digest: OciDigest; contentType: string }> {
  const target = `/v2/${reference.repository}/manifests/${reference.digest ?? reference.tag}`
  const accept = [mediaTypes.manifest, mediaTypes.index, mediaTypes.dockerManifest, mediaTypes.dockerIndex].join(', ')
  for (let tries = 1; ; tries++) {
    const response = await session.request({ method: 'GET', target, headers: { accept }, expect: [200], what, signal })
    let bytes: Uint8Array
    try {
      bytes = await readWhole(session, response, { what, signal })
    } catch (error) {
      if (!isHeraldError(error, 'ERR_OCI_UNREACHABLE')) throw error
      if (tries > maxBarrenBreaks) throw truncated(what, 'the manifest', error)
      await session.pause(tries, signal)
      continue
    }
    const digest = digestOf(bytes)
    const stated = response.headers.get('docker-content-digest')
    const expected = reference.digest ?? (isDigest(stated) ? stated : digest)
    if (digest !== expected) throw altered(what, 'the manifest', expected, digest)
    return { bytes, digest, contentType: (response.headers.get('content-type') ?? '').split(';')[0]!.trim() }
  }
}

/**
 * Fetches a blob whole and checks it before anybody sees a byte. A broken transfer goes on where it broke (Range, RFC 9110 §14);
 * a registry that cannot do that sends the blob from its start again.
 * @throws ERR_OCI_TOO_LARGE, ERR_OCI_TRUNCATED, ERR_OCI_DIGEST_MISMATCH, …
 */
export async function downloadBlob(
  session: RegistrySession,
  repository: string,
  { digest, sizeBytes }: Pick<OciDescriptor, 'digest' | 'sizeBytes'>,
  {
    what,
    signal,
    maxBytes,
    onProgress,
  }: DownloadOptions & { maxBytes: number; onProgress?: (receivedBytes: number) => void },
): Promise<Uint8Array> {
  if (sizeBytes > maxBytes) throw tooLarge(what, 'a layer', sizeBytes, maxBytes)
  const buffer = Buffer.allocUnsafeSlow(sizeBytes)
  let received = 0
  let resumed = false
  let barren = 0
  for (let breaks = 0; ; breaks++) {
    const before = received
    try {
      const response = await session.request({
        method: 'GET',
        target: `/v2/${repository}/blobs/${digest}`,
        headers: received === 0 ? {} : { range: `bytes=${received}-` },
        expect: [200, 206, 416],
        what,
        signal,
      })
      const resumes = response.status === 206 && rangeStart(response) === received
      if (!resumes) received = 0
      resumed ||= resumes
      if (response.status === 416 || (response.status === 206 && !resumes)) {
        await response.body?.cancel().catch(() => {})
      } else {
        for await (const chunk of session.body(response, { what, signal })) {
          if (received + chunk.length > sizeBytes)
            throw altered(what, 'a layer', digest, `more than its ${sizeBytes} bytes`)
          buffer.set(chunk, received)
          received += chunk.length
          onProgress?.(received)
        }
        if (received === sizeBytes) {
          const actual = await digestOfLarge(buffer)
          if (actual === digest) return buffer
          // The pieces may come from two versions of a changing mirror: once, it is fetched in one piece.
          if (!resumed) throw altered(what, 'a layer', digest, actual)
          resumed = false
          received = 0
        }
      }
    } catch (error) {
      if (!isHeraldError(error, 'ERR_OCI_UNREACHABLE')) throw error
      if (barren >= maxBarrenBreaks || breaks >= maxBreaks)
        throw received === 0 ? error : truncated(what, `${received} of ${sizeBytes} bytes of a layer came`, error)
    }
    barren = received > before ? 0 : barren + 1
    if (barren > maxBarrenBreaks || breaks >= maxBreaks)
      throw truncated(what, `${received} of ${sizeBytes} bytes of a layer came`)
    await session.pause(barren + 1, signal)
  }
}

async function readWhole(
  session: RegistrySession,
  response: Response,
  { what, signal }: DownloadOptions,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of session.body(response, { what, signal })) {
    length += chunk.length
    if (length > maxManifestBytes) throw tooLarge(what, 'the manifest', length, maxManifestBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function rangeStart(response: Response): number | undefined {
  const start = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(response.headers.get('content-range') ?? '')?.[1]
  return start === undefined ? undefined : Number(start)
}

function altered(what: string, part: string, expected: string, actual: string): HeraldError {
  return new HeraldError(
    'ERR_OCI_DIGEST_MISMATCH',
    `${what}: ${part} should have the digest ${expected} and has ${actual}`,
    {
      hint: 'nothing of it was used; look at the registry and what lies between, then push the component again',
    },
  )
}

function truncated(what: string, came: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_OCI_TRUNCATED', `${what}: the transfer kept breaking; ${came}`, {
    hint: 'try again; if it stays, the registry holds a damaged artifact: push it again',
    cause,
  })
}

function tooLarge(what: string, part: string, sizeBytes: number, maxBytes: number): HeraldError {
  return new HeraldError(
    'ERR_OCI_TOO_LARGE',
    `${what}: ${part} has ${sizeBytes} bytes, more than the ${maxBytes} this host accepts`,
    {
      hint: 'strip debug information from the component, or raise the limit',
    },
  )
}
