import { type BindingOf, parseBinding } from '../../federation/binding.ts'
import type { EntrySettings } from '../entry-settings.ts'
import { type OwnConnection, parseOwnConnection } from '../own-lattice.ts'
import { parseStoreScope, type StoreScope } from '../store-name.ts'

export const blobstoreBackends = ['nats', 'in-memory', 'filesystem', 's3'] as const
export type BlobstoreBackend = (typeof blobstoreBackends)[number]

/** Of an entry with the backend s3, what says how its credentials are got: see docs/federation/aws.md. */
const awsKeys = ['role-arn', 'region', 'audience', 'sts-endpoint', 'duration-s', 'session-name'] as const

/** Keys of an entry's config, and the backends they are for. */
export const blobstoreKeys = {
  backend: blobstoreBackends,
  bucket: blobstoreBackends,
  scope: blobstoreBackends,
  'max-object-bytes': blobstoreBackends,
  'max-bytes': ['in-memory'],
  replicas: ['nats'],
  storage: ['nats'],
  'nats-audience': ['nats'],
  'spiffe-id': ['nats'],
  root: ['filesystem'],
  endpoint: ['s3'],
  'role-arn': ['s3'],
  region: ['s3'],
  audience: ['s3'],
  'sts-endpoint': ['s3'],
  'duration-s': ['s3'],
  'session-name': ['s3'],
} as const satisfies Readonly<Record<string, readonly BlobstoreBackend[]>>

/** One entry of `wasi:blobstore`. */
export type BlobstoreEntry = {
  readonly settings: EntrySettings
  readonly backend: BlobstoreBackend
  /** Of containers; the `bucket` of s3 is none of them but holds them all. */
  readonly scope: StoreScope
  readonly maxObjectBytes: number
  readonly maxBytes: number
  readonly replicas: number
  readonly storage: 'file' | 'memory'
  /** `undefined`: the host's connection. */
  readonly own: OwnConnection | undefined
  readonly s3: { readonly endpoint: URL; readonly bucket: string; readonly binding: BindingOf<'aws'> } | undefined
}

/** @throws ERR_CAPABILITY_CONFIG, ERR_FEDERATION_BINDING_INVALID */
export function parseBlobstoreEntry(settings: EntrySettings, fallback: BlobstoreBackend): BlobstoreEntry {
  const backend = settings.oneOf('backend', blobstoreBackends, fallback)
  for (const [key, backends] of Object.entries(blobstoreKeys)) {
    if (settings.text(key) !== undefined && !(backends as readonly string[]).includes(backend)) {
      throw settings.refusal(`${key} is not for the backend ${backend}`, `it is for ${backends.join(', ')}`)
    }
  }
  return {
    settings,
    backend,
    scope:
      backend === 's3'
        ? { kind: settings.oneOf('scope', ['namespace', 'workload'], 'namespace') }
        : parseStoreScope(settings),
    maxObjectBytes: settings.integer('max-object-bytes', { min: 1, max: 512 * 2 ** 20, fallback: 64 * 2 ** 20 }),
    maxBytes: settings.integer('max-bytes', { min: 1, max: 2 ** 40, fallback: 256 * 2 ** 20 }),
    replicas: settings.integer('replicas', { min: 1, max: 5, fallback: 1 }),
    storage: settings.oneOf('storage', ['file', 'memory'], 'file'),
    own: parseOwnConnection(settings, { audience: 'nats-audience', spiffeId: 'spiffe-id' }),
    s3: backend === 's3' ? parseS3(settings) : undefined,
  }
}

function parseS3(settings: EntrySettings): NonNullable<BlobstoreEntry['s3']> {
  const bucket = settings.matching('bucket', /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'the name of an S3 bucket')
  if (bucket === undefined) throw settings.refusal('it has no bucket', 'give bucket, which must exist')
  const config = Object.fromEntries(
    awsKeys.flatMap((key) => (settings.text(key) === undefined ? [] : [[key, settings.text(key)!]])),
  )
  const binding = parseBinding(settings.entry.name ?? 'wasi:blobstore', {
    provider: 'aws',
    ...config,
  }) as BindingOf<'aws'>
  const endpoint = URL.parse(settings.text('endpoint') ?? `https://s3.${binding.region}.amazonaws.com`)
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(endpoint?.hostname ?? '')
  if (endpoint === null || !(endpoint.protocol === 'https:' || (endpoint.protocol === 'http:' && loopback))) {
    throw settings.refusal('endpoint cannot be used', 'give an https URL; http only to this machine')
  }
  if (endpoint.pathname !== '/' || endpoint.search !== '' || endpoint.username !== '' || endpoint.password !== '') {
    throw settings.refusal('endpoint has more than a host and a port', 'write it like https://s3.example.org')
  }
  return { endpoint, bucket, binding }
}
