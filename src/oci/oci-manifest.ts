import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'
import { type OciDigest, parseDigest } from './oci-digest.ts'

/** Media types of the artifacts Herald reads. */
export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  /** CNCF wasm artifact. */
  wasmConfig: 'application/vnd.wasm.config.v0+json',
  wasmLayer: 'application/wasm',
} as const

/** Layers that hold a component: the CNCF artifact's first, then wasmCloud's and wasm-to-oci's older ones. */
export const componentLayerTypes: readonly string[] = [
  mediaTypes.wasmLayer,
  'application/vnd.module.wasm.content.layer.v1+wasm',
  'application/vnd.wasm.content.layer.v1+wasm',
]

export type OciDescriptor = {
  readonly mediaType: string
  readonly digest: OciDigest
  readonly sizeBytes: number
  readonly annotations: Readonly<Record<string, string>>
}

export type OciManifest = {
  readonly kind: 'manifest'
  readonly mediaType: string
  readonly config: OciDescriptor
  readonly layers: readonly OciDescriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

export type OciIndex = {
  readonly kind: 'index'
  readonly mediaType: string
  readonly manifests: readonly (OciDescriptor & {
    readonly os: string | undefined
    readonly architecture: string | undefined
  })[]
}

// The specification tells readers to ignore what they do not know, so these schemas are loose on purpose.
const annotations = z.record(z.string(), z.string()).default({})
const descriptor = z.object({
  mediaType: z.string().max(255),
  digest: z.string(),
  size: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  annotations,
})
const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptor,
  layers: z.array(descriptor).max(256),
  annotations,
})
const indexSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z
    .array(descriptor.extend({ platform: z.object({ os: z.string(), architecture: z.string() }).partial().optional() }))
    .max(256),
})

/** Reads a manifest or an index whose bytes have been checked against their digest. @throws ERR_OCI_MANIFEST_INVALID */
export function parseManifest(bytes: Uint8Array, contentType: string, reference: string): OciManifest | OciIndex {
  const refuse = (why: string): never => {
    throw new HeraldError('ERR_OCI_MANIFEST_INVALID', `${reference}: the manifest cannot be read: ${why}`, {
      hint: 'push the component again, for instance with herald oci push',
    })
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return refuse('it is not JSON')
  }
  const stated = typeof value === 'object' && value !== null && 'mediaType' in value ? value.mediaType : undefined
  const mediaType = typeof stated === 'string' ? stated : contentType
  const isIndex = mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex
  if (!isIndex && mediaType !== mediaTypes.manifest && mediaType !== mediaTypes.dockerManifest) {
    return refuse(`its media type is ${JSON.stringify(mediaType.slice(0, 100))}`)
  }
  const parsed = isIndex ? indexSchema.safeParse(value) : manifestSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return refuse(`${issue?.path.join('.')}: ${issue?.message}`)
  }
  if ('manifests' in parsed.data) {
    const manifests = parsed.data.manifests.map((entry, at) => ({
      ...toDescriptor(entry, `manifests[${at}].digest of ${reference}`),
      os: entry.platform?.os,
      architecture: entry.platform?.architecture,
    }))
    return { kind: 'index', mediaType, manifests }
  }
  return {
    kind: 'manifest',
    mediaType,
    config: toDescriptor(parsed.data.config, `config.digest of ${reference}`),
    layers: parsed.data.layers.map((layer, at) => toDescriptor(layer, `layers[${at}].digest of ${reference}`)),
    annotations: parsed.data.annotations,
  }
}

/** The one layer that holds the component. @throws ERR_OCI_NOT_WASM when there is none, or more than one. */
export function componentLayer(manifest: OciManifest, reference: string): OciDescriptor {
  const candidates = manifest.layers.filter((layer) => componentLayerTypes.includes(layer.mediaType))
  const [layer] = candidates
  if (layer !== undefined && candidates.length === 1) return layer
  const found =
    [...new Set(manifest.layers.map((each) => each.mediaType.slice(0, 100)))].join(', ') || 'no layer at all'
  throw new HeraldError(
    'ERR_OCI_NOT_WASM',
    candidates.length === 0
      ? `${reference} holds no WebAssembly component: its layers are ${found}`
      : `${reference} holds ${candidates.length} WebAssembly layers, and which is the component cannot be known`,
    { hint: 'point the image at an artifact pushed with herald oci push, wash oci push or wkg oci push' },
  )
}

/** Of an index, the manifest made for wasm; or its only one. @throws ERR_OCI_NOT_WASM */
export function wasmManifestOf(index: OciIndex, reference: string): OciDescriptor {
  const wasm = index.manifests.filter(
    ({ architecture, os }) => architecture === 'wasm' || os === 'wasip2' || os === 'wasi',
  )
  const candidates = wasm.length > 0 ? wasm : index.manifests
  const preferred = candidates.find(({ os }) => os === 'wasip2') ?? candidates[0]
  if (preferred !== undefined && (candidates.length === 1 || preferred.os === 'wasip2')) return preferred
  const platforms = index.manifests.map(({ os, architecture }) => `${os}/${architecture}`.slice(0, 60)).join(', ')
  throw new HeraldError(
    'ERR_OCI_NOT_WASM',
    `${reference} is an index without a WebAssembly entry: ${platforms || 'empty'}`,
    {
      hint: 'point the image at the component itself, by tag or digest',
    },
  )
}

function toDescriptor(raw: z.infer<typeof descriptor>, what: string): OciDescriptor {
  return {
    mediaType: raw.mediaType,
    digest: parseDigest(raw.digest, what),
    sizeBytes: raw.size,
    annotations: raw.annotations,
  }
}
