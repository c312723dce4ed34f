import { type Clock, systemClock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import { downloadBlob, downloadManifest } from './download.ts'
import { type OciCache, type OciCacheOptions, openOciCache } from './oci-cache.ts'
import type { OciCredentialSource, OciCredentials } from './oci-credentials.ts'
import type { OciDigest } from './oci-digest.ts'
import {
  componentLayer,
  mediaTypes,
  type OciDescriptor,
  type OciManifest,
  parseManifest,
  wasmManifestOf,
} from './oci-manifest.ts'
import { canonicalReference, type OciReference, parseOciReference } from './oci-reference.ts'
import { createRegistryTransport, credentialKey, type RegistrySession } from './registry-transport.ts'
import { SharedWork } from './shared-work.ts'
import { uploadBlob, uploadManifest } from './upload.ts'
import { describeWasmConfig, encodeWasmArtifact, type WasmArtifactOptions } from './wasm-artifact.ts'

export type OciClientOptions = {
  readonly log: Log
  /** Without one nothing is kept, and the policy `never` finds nothing. `maxBytes`: default 4 GiB. */
  readonly cache?: { readonly directory: string; readonly maxBytes?: number }
  /** Asked when a pull or push brings no credentials of its own. Default: none. */
  readonly credentials?: OciCredentialSource
  /** Hosts asked first, in order, by the registry they stand in for: `{'docker.io': ['mirror.internal:5000']}`. They never get a workload's own credentials. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>
  /** `host[:port]` spoken to without TLS. Loopback always is. */
  readonly plainHttpRegistries?: readonly string[]
  /** Largest component, bytes. Default 256 MiB. */
  readonly maxLayerBytes?: number
  /** Longest silence of a registry, ms. Default 30,000. */
  readonly idleTimeoutMs?: number
  /** Tries of one request when the registry is busy, failing or away. Default 5. */
  readonly maxAttempts?: number
  /** A registry that asks for a longer pause has refused, ms. Default 30,000. */
  readonly maxRetryAfterMs?: number
  /**
   * How long a pull goes on, into the cache, after everybody who waited for it has left, ms. Default 0. A host sets it, so that a start that is
   * given up after 50 s finds the large image at its next try.
   */
  readonly lingerMs?: number
  /** Ends such pulls. */
  readonly signal?: AbortSignal
  readonly fetch?: typeof globalThis.fetch
  readonly clock?: Clock
  readonly random?: () => number
}

export type PullPolicy = 'always' | 'if-not-present' | 'never'

export type PullOptions = {
  /** The workload's own (imagePullSecret). They go to the registry in the reference and nowhere else. */
  readonly credentials?: OciCredentials | undefined
  /** Default, as in Kubernetes: `always` for the tag `latest`, else `if-not-present`. */
  readonly policy?: PullPolicy | undefined
  readonly signal: AbortSignal
  readonly onProgress?: (progress: PullProgress) => void
}

export type PullProgress = { readonly receivedBytes: number; readonly totalBytes: number }

export type PulledImage = {
  readonly bytes: Uint8Array
  /** Of the manifest the reference names (of the index, when it names one): what `image-digest` selectors hold. */
  readonly manifestDigest: OciDigest
  readonly reference: OciReference
  readonly fromCache: boolean
}

export type PushOptions = WasmArtifactOptions & {
  readonly credentials?: OciCredentials | undefined
  readonly signal: AbortSignal
  /** Of the component itself: with all of it at once when the registry has it. */
  readonly onProgress?: (progress: PushProgress) => void
}

export type PushProgress = { readonly sentBytes: number; readonly totalBytes: number }

export type ImageInspection = {
  readonly reference: OciReference
  readonly manifestDigest: OciDigest
  readonly mediaType: string
  readonly config: OciDescriptor
  readonly layers: readonly OciDescriptor[]
  readonly annotations: Readonly<Record<string, string>>
  /** What the artifact's own config says of the component, for CNCF artifacts; a claim of whoever pushed it. */
  readonly component: { readonly imports: readonly string[]; readonly exports: readonly string[] } | undefined
}

export interface OciClient {
  /**
   * Reference → verified bytes. An image that was pulled with credentials is given from the cache only to those whose credentials a
   * registry has accepted for it; others are asked about first. @throws ERR_OCI_…, or the signal's reason
   */
  pull(reference: string, options: PullOptions): Promise<PulledImage>
  /** Pushes a component as a CNCF wasm artifact; the same bytes and options give the same digest. @throws ERR_OCI_… */
  push(
    reference: string,
    bytes: Uint8Array,
    options: PushOptions,
  ): Promise<{ reference: OciReference; manifestDigest: OciDigest }>
  inspect(
    reference: string,
    options: { credentials?: OciCredentials | undefined; signal: AbortSignal },
  ): Promise<ImageInspection>
}

type Endpoint = {
  readonly session: RegistrySession
  readonly credentials: OciCredentials | undefined
  readonly mirror: boolean
}
type Resolved = {
  manifest: OciManifest
  manifestDigest: OciDigest
  documents: readonly { digest: OciDigest; bytes: Uint8Array }[]
  endpoint: Endpoint
}

const defaultCacheBytes = 4 * 1024 ** 3
const maxConfigBytes = 1024 * 1024

export async function createOciClient(options: OciClientOptions): Promise<OciClient> {
  const { log, credentials: source, mirrors = {}, maxLayerBytes = 256 * 1024 * 1024, clock = systemClock } = options
  const transport = createRegistryTransport({
    fetch: options.fetch ?? globalThis.fetch,
    clock,
    log,
    random: options.random ?? Math.random,
    plainHttpRegistries: options.plainHttpRegistries ?? [],
    idleTimeoutMs: options.idleTimeoutMs ?? 30_000,
    maxAttempts: options.maxAttempts ?? 5,
    maxRetryAfterMs: options.maxRetryAfterMs ?? 30_000,
  })
  const cache = options.cache && (await openOciCache(cacheOptions(options.cache, clock, log)))
  const shared = new SharedWork<PulledImage, PullProgress>({
    clock,
    lingerMs: options.lingerMs ?? 0,
    signal: options.signal,
  })

  async function endpoint(
    host: string,
    reference: OciReference,
    action: 'pull' | 'pull,push',
    own: OciCredentials | undefined,
    signal: AbortSignal,
  ): Promise<Endpoint> {
    const mirror = host !== reference.registry
    const credentials = (mirror ? undefined : own) ?? (await source?.find(host, { signal }))
    return {
      session: transport.session(host, `repository:${reference.repository}:${action}`, credentials),
      credentials,
      mirror,
    }
  }

  /** The first of mirrors and registry that has the manifest. The registry's own word is the last. */
  async function resolve(
    reference: OciReference,
    own: OciCredentials | undefined,
    signal: AbortSignal,
  ): Promise<Resolved> {
    for (const host of [...(mirrors[reference.registry] ?? []), reference.registry]) {
      try {
        const from = await endpoint(host, reference, 'pull', own, signal)
        return { ...(await resolveAt(from.session, reference, signal)), endpoint: from }
      } catch (error) {
        signal.throwIfAborted()
        if (host === reference.registry) throw error
        log.warn(
          { event: 'oci.mirror.failed', mirror: host, code: (error as HeraldError).code },
          'a mirror does not serve the image; asking the next',
        )
      }
    }
    throw new HeraldError('ERR_INTERNAL', 'no registry was asked')
  }

  async function resolveAt(
    session: RegistrySession,
    reference: OciReference,
    signal: AbortSignal,
  ): Promise<Omit<Resolved, 'endpoint'>> {
    const what = reference.text
    const found = await downloadManifest(session, reference, { what, signal })
    const parsed = parseManifest(found.bytes, found.contentType, what)
    if (parsed.kind === 'manifest') return { manifest: parsed, manifestDigest: found.digest, documents: [found] }
    const chosen = wasmManifestOf(parsed, what)
    const inner = await downloadManifest(session, { ...reference, digest: chosen.digest }, { what, signal })
    return { manifest: onlyManifest(inner, what), manifestDigest: found.digest, documents: [found, inner] }
  }

  async function pullFresh(
    reference: OciReference,
    own: OciCredentials | undefined,
    signal: AbortSignal,
    onProgress: (progress: PullProgress) => void,
  ): Promise<PulledImage> {
    const { manifest, manifestDigest, documents, endpoint: from } = await resolve(reference, own, signal)
    const layer = componentLayer(manifest, reference.text)
    const kept = layer.sizeBytes <= maxLayerBytes ? await cache?.readBlob(layer.digest, maxLayerBytes) : undefined
    const bytes =
      kept ??
      (await downloadBlob(from.session, reference.repository, layer, {
        what: reference.text,
        signal,
        maxBytes: maxLayerBytes,
        onProgress: (receivedBytes) => onProgress({ receivedBytes, totalBytes: layer.sizeBytes }),
      }))
    if (cache) {
      if (kept === undefined) await cache.writeBlob(layer.digest, bytes)
      for (const document of documents) await cache.writeBlob(document.digest, document.bytes)
      await remember(cache, reference, manifestDigest, from.credentials)
    }
    log.info(
      {
        event: 'oci.pulled',
        image: reference.text,
        manifestDigest,
        sizeBytes: bytes.length,
        registry: from.session.host,
        layerCached: kept !== undefined,
      },
      'pulled an image',
    )
    return { bytes, manifestDigest, reference, fromCache: false }
  }

  /** What the cache holds, if the asker may have it. */
  async function pullCached(
    store: OciCache,
    reference: OciReference,
    credentials: readonly (OciCredentials | undefined)[],
  ): Promise<PulledImage | 'absent' | 'not-granted'> {
    const known = await store.readReference(canonicalReference(reference))
    if (known === undefined) return 'absent'
    const marks = await Promise.all(credentials.map((each) => store.mark(credentialKey(each))))
    if (!known.anonymous && !marks.some((mark) => known.marks.includes(mark))) return 'not-granted'
    try {
      let bytes = await store.readBlob(known.manifestDigest, maxConfigBytes * 4)
      let parsed = bytes && parseManifest(bytes, '', reference.text)
      if (parsed?.kind === 'index') {
        bytes = await store.readBlob(wasmManifestOf(parsed, reference.text).digest, maxConfigBytes * 4)
        parsed = bytes && parseManifest(bytes, '', reference.text)
      }
      if (parsed?.kind !== 'manifest') return 'absent'
      const layer = await store.readBlob(componentLayer(parsed, reference.text).digest, maxLayerBytes)
      return layer === undefined
        ? 'absent'
        : { bytes: layer, manifestDigest: known.manifestDigest, reference, fromCache: true }
    } catch (error) {
      log.debug(
        { event: 'oci.cache.unusable', code: (error as HeraldError).code },
        'what the cache holds cannot be used',
      )
      return 'absent'
    }
  }

  return {
    async pull(text, { credentials: own, policy: asked, signal, onProgress }) {
      const reference = parseOciReference(text)
      const policy =
        asked ?? (reference.digest === undefined && reference.tag === 'latest' ? 'always' : 'if-not-present')
      if (policy !== 'always') {
        const offered = [own ?? (await source?.find(reference.registry, { signal }))]
        for (const mirror of mirrors[reference.registry] ?? []) offered.push(await source?.find(mirror, { signal }))
        const cached = cache ? await pullCached(cache, reference, offered) : 'absent'
        if (typeof cached !== 'string') return cached
        if (policy === 'never') throw notCached(reference, cached)
      }
      const key = `${canonicalReference(reference)} ${credentialKey(own)}`
      const result = await shared.run(key, { signal, onProgress }, (work) =>
        pullFresh(reference, own, work.signal, work.onProgress),
      )
      return { ...result, reference }
    },

    async push(text, bytes, { credentials: own, signal, onProgress, ...artifact }) {
      const reference = parseOciReference(text)
      if (reference.digest !== undefined) {
        throw new HeraldError('ERR_OCI_REFERENCE_INVALID', `${text}: a push goes to a tag; its digest is computed`, {
          hint: 'leave @sha256:… out',
        })
      }
      const { session } = await endpoint(reference.registry, reference, 'pull,push', own, signal)
      const { config, manifest } = encodeWasmArtifact(bytes, artifact)
      const at = { what: text, signal }
      await uploadBlob(session, reference.repository, bytes, {
        ...at,
        onSent: (sentBytes) => onProgress?.({ sentBytes, totalBytes: bytes.length }),
      })
      await uploadBlob(session, reference.repository, config, at)
      const manifestDigest = await uploadManifest(session, reference, manifest, at)
      log.info({ event: 'oci.pushed', image: text, manifestDigest, sizeBytes: bytes.length }, 'pushed an image')
      return { reference, manifestDigest }
    },

    async inspect(text, { credentials: own, signal }) {
      const reference = parseOciReference(text)
      const { manifest, manifestDigest, endpoint: from } = await resolve(reference, own, signal)
      const { config, layers, annotations, mediaType } = manifest
      const described = config.mediaType === mediaTypes.wasmConfig
      const claims = described
        ? describeWasmConfig(
            await downloadBlob(from.session, reference.repository, config, {
              what: text,
              signal,
              maxBytes: maxConfigBytes,
            }),
          )
        : undefined
      return { reference, manifestDigest, mediaType, config, layers, annotations, component: claims }
    },
  }
}

function cacheOptions(
  { directory, maxBytes = defaultCacheBytes }: { directory: string; maxBytes?: number },
  clock: Clock,
  log: Log,
): OciCacheOptions {
  return { directory, maxBytes, clock, log }
}

function onlyManifest(
  { bytes, contentType, digest }: { bytes: Uint8Array; contentType: string; digest: OciDigest },
  what: string,
): OciManifest {
  const parsed = parseManifest(bytes, contentType, what)
  if (parsed.kind === 'manifest') return parsed
  throw new HeraldError('ERR_OCI_MANIFEST_INVALID', `${what}: the index leads to another index ${digest}`, {
    hint: 'point the image at the component itself',
  })
}

async function remember(
  cache: OciCache,
  reference: OciReference,
  manifestDigest: OciDigest,
  credentials: OciCredentials | undefined,
): Promise<void> {
  const canonical = canonicalReference(reference)
  const known = await cache.readReference(canonical)
  // Another manifest is another image: earlier grants say nothing about it.
  const before = known?.manifestDigest === manifestDigest ? known : { anonymous: false, marks: [] as readonly string[] }
  const mark = credentials && (await cache.mark(credentialKey(credentials)))
  await cache.writeReference(canonical, {
    manifestDigest,
    anonymous: before.anonymous || credentials === undefined,
    marks: mark === undefined ? before.marks : [...before.marks.filter((each) => each !== mark), mark],
  })
}

function notCached(reference: OciReference, why: 'absent' | 'not-granted'): HeraldError {
  return new HeraldError(
    'ERR_OCI_NOT_CACHED',
    why === 'absent'
      ? `${reference.text} is not in the cache and the pull policy is Never`
      : `${reference.text} is in the cache, pulled with other credentials, and the pull policy is Never`,
    { hint: 'use the policy IfNotPresent, so that the registry can be asked' },
  )
}
