import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'
import { digestOf } from './oci-digest.ts'
import { mediaTypes } from './oci-manifest.ts'

export type WasmArtifactOptions = {
  /** World of the component as written into the artifact's config, for tools that list artifacts without pulling them. */
  readonly component?: { readonly imports: readonly string[]; readonly exports: readonly string[] }
  /** `org.opencontainers.image.*` and the like. */
  readonly annotations?: Readonly<Record<string, string>>
  /** Default: the Unix epoch, so that the same component gives the same digest. */
  readonly createdAt?: Date
}

/**
 * The documents of a CNCF wasm artifact ("Wasm OCI Artifact layout", config `application/vnd.wasm.config.v0+json`), byte for byte the same for
 * the same input. @throws ERR_OCI_NOT_WASM for bytes that are not WebAssembly
 */
export function encodeWasmArtifact(
  bytes: Uint8Array,
  { component, annotations = {}, createdAt = new Date(0) }: WasmArtifactOptions,
): { config: Uint8Array; manifest: Uint8Array } {
  const layer = wasmLayer(bytes)
  const config = encode({
    created: createdAt.toISOString(),
    architecture: 'wasm',
    os: layer === 'component' ? 'wasip2' : 'wasip1',
    layerDigests: [digestOf(bytes)],
    ...(layer === 'component' && {
      component: { exports: component?.exports ?? [], imports: component?.imports ?? [], target: null },
    }),
  })
  const manifest = encode({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.wasmConfig, digest: digestOf(config), size: config.length },
    layers: [{ mediaType: mediaTypes.wasmLayer, digest: digestOf(bytes), size: bytes.length }],
    ...(Object.keys(annotations).length > 0 && {
      annotations: Object.fromEntries(Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1))),
    }),
  })
  return { config, manifest }
}

const configSchema = z.object({
  component: z
    .object({
      imports: z.array(z.string()).max(10_000).default([]),
      exports: z.array(z.string()).max(10_000).default([]),
    })
    .nullish(),
})

/** Imports and exports as the artifact claims them; `undefined` when it claims none. */
export function describeWasmConfig(
  bytes: Uint8Array,
): { imports: readonly string[]; exports: readonly string[] } | undefined {
  try {
    return configSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))).component ?? undefined
  } catch {
    return undefined
  }
}

/** Component model "Binary.md": `\0asm`, then version 13 and layer 1 for a component, version 1 and layer 0 for a core module. */
function wasmLayer(bytes: Uint8Array): 'component' | 'module' {
  const preamble = Buffer.from(bytes.subarray(0, 8)).toString('hex')
  if (preamble === '0061736d0d000100') return 'component'
  if (preamble === '0061736d01000000') return 'module'
  throw new HeraldError('ERR_OCI_NOT_WASM', 'the bytes to push are not WebAssembly', {
    hint: 'push the .wasm file that the build made',
  })
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}
