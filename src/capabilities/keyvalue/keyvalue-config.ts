import type { EntrySettings } from '../entry-settings.ts'
import { type OwnConnection, parseOwnConnection } from '../own-lattice.ts'
import { parseStoreScope, type StoreScope } from '../store-name.ts'

export const keyvalueBackends = ['nats', 'in-memory', 'filesystem', 'redis'] as const
export type KeyvalueBackend = (typeof keyvalueBackends)[number]

/** Keys of an entry's config, and the backends they are for. */
export const keyvalueKeys = {
  backend: keyvalueBackends,
  bucket: keyvalueBackends,
  scope: keyvalueBackends,
  'max-value-bytes': keyvalueBackends,
  'max-bytes': ['nats', 'in-memory'],
  'ttl-s': ['nats'],
  replicas: ['nats'],
  storage: ['nats'],
  'nats-audience': ['nats'],
  'spiffe-id': ['nats'],
  root: ['filesystem'],
  url: ['redis'],
  username: ['redis'],
  password: ['redis'],
  prefix: ['redis'],
} as const satisfies Readonly<Record<string, readonly KeyvalueBackend[]>>

/** One entry of `wasi:keyvalue`. */
export type KeyvalueEntry = {
  readonly settings: EntrySettings
  readonly backend: KeyvalueBackend
  readonly scope: StoreScope
  /** `store`, `atomics`, `batch`: what its buckets may be used for. */
  readonly interfaces: readonly string[]
  readonly maxValueBytes: number
  readonly maxBytes: number | undefined
  readonly ttlMs: number | undefined
  readonly replicas: number
  readonly storage: 'file' | 'memory'
  /** `undefined`: the host's connection. */
  readonly own: OwnConnection | undefined
  readonly redis:
    | { readonly url: string; readonly username?: string; readonly password?: string; readonly prefix?: string }
    | undefined
}

/** @param fallback the backend of an entry that names none. @throws ERR_CAPABILITY_CONFIG */
export function parseKeyvalueEntry(settings: EntrySettings, fallback: KeyvalueBackend): KeyvalueEntry {
  const backend = settings.oneOf('backend', keyvalueBackends, fallback)
  for (const [key, backends] of Object.entries(keyvalueKeys)) {
    if (settings.text(key) !== undefined && !(backends as readonly string[]).includes(backend)) {
      throw settings.refusal(`${key} is not for the backend ${backend}`, `it is for ${backends.join(', ')}`)
    }
  }
  const other = settings.entry.interfaces.find((name) => !['store', 'atomics', 'batch', 'types'].includes(name))
  if (other !== undefined) {
    throw settings.refusal(`there is no interface ${JSON.stringify(other.slice(0, 80))}`, 'list store, atomics, batch')
  }
  const bytes = { min: 1, max: 2 ** 40 }
  const optional = (key: string, range: { min: number; max: number }): number | undefined =>
    settings.text(key) === undefined ? undefined : settings.integer(key, { ...range, fallback: range.min })
  const ttlS = optional('ttl-s', { min: 1, max: 10 * 366 * 86_400 })
  return {
    settings,
    backend,
    scope: parseStoreScope(settings),
    interfaces: settings.entry.interfaces,
    maxValueBytes: settings.integer('max-value-bytes', { min: 1, max: 64 * 2 ** 20, fallback: 2 ** 20 }),
    maxBytes: optional('max-bytes', bytes),
    ttlMs: ttlS === undefined ? undefined : ttlS * 1000,
    replicas: settings.integer('replicas', { min: 1, max: 5, fallback: 1 }),
    storage: settings.oneOf('storage', ['file', 'memory'], 'file'),
    own: parseOwnConnection(settings, { audience: 'nats-audience', spiffeId: 'spiffe-id' }),
    redis: backend === 'redis' ? parseRedis(settings) : undefined,
  }
}

export const keyvalueConfigKeys: readonly string[] = Object.keys(keyvalueKeys)

function parseRedis(settings: EntrySettings): NonNullable<KeyvalueEntry['redis']> {
  const text = settings.text('url')
  if (text === undefined) throw settings.refusal('it has no url', 'give url: redis://HOST:6379')
  const url = URL.parse(text)
  const bad = (why: string) => settings.refusal(`url ${why}`, 'write it like redis://HOST:6379/0 or rediss://HOST:6380')
  if (url === null || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') throw bad('cannot be used')
  if (!/^\/?\d{0,5}$/.test(url.pathname) || url.search !== '' || url.hash !== '')
    throw bad('has more than a database number')
  const username = settings.text('username') ?? (decodeURIComponent(url.username) || undefined)
  const password = settings.text('password') ?? (decodeURIComponent(url.password) || undefined)
  // Kept apart from the address: the address is shown in logs and errors.
  url.username = ''
  url.password = ''
  const prefix = settings.matching('prefix', /^[\x21-\x7e]{1,128}$/, 'at most 128 printable characters')
  if (prefix !== undefined && settings.text('bucket') !== undefined) {
    throw settings.refusal('it has both bucket and prefix', 'keep one of them')
  }
  if (prefix !== undefined && /^herald/i.test(prefix))
    throw settings.refusal('a prefix cannot begin with "herald"', 'choose another')
  return {
    url: url.href,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(prefix !== undefined && { prefix }),
  }
}
