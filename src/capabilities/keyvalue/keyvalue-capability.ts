import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { Log } from '../../observability/log.ts'
import { allowedDirectory } from '../allowed-directory.ts'
import type { Capability } from '../capability.ts'
import type { LatticeSource } from '../lattice-source.ts'
import { NamedEntries } from '../named-entries.ts'
import type { OpenOwnLattice } from '../own-lattice.ts'
import type { BucketSource } from './bucket.ts'
import { FilesystemBuckets } from './filesystem-buckets.ts'
import { KeyvalueBinding, type OpenEntry } from './keyvalue-binding.ts'
import { type KeyvalueEntry, keyvalueConfigKeys, parseKeyvalueEntry } from './keyvalue-config.ts'
import { MemoryBuckets } from './memory-buckets.ts'
import { natsBuckets } from './nats-buckets.ts'
import type { RedisConnections } from './redis-buckets.ts'

export type KeyvalueCapabilityOptions = {
  readonly log: Log
  /** Default: none, so no buckets of NATS, and entries without a backend are in memory. */
  readonly lattice?: LatticeSource | undefined
  /** For entries with `nats-audience`; given wherever `lattice` is. */
  readonly openOwn?: OpenOwnLattice | undefined
  /** Directories under which the buckets of the backend filesystem may stand. */
  readonly allowedHostPaths: readonly string[]
}

const store = 'wasi:keyvalue/store'
const defaultMemoryBytes = 64 * 2 ** 20

/** `wasi:keyvalue` 0.2.0-draft: one backend for each hostInterfaces entry, buckets apart by namespace. */
export function createKeyvalueCapability({
  log,
  lattice,
  openOwn,
  allowedHostPaths,
}: KeyvalueCapabilityOptions): Capability {
  const memory = new MemoryBuckets()
  const filesystem = new FilesystemBuckets()
  let redis: Promise<RedisConnections> | undefined
  const open = new Set<KeyvalueBinding>()

  async function sourceOf(entry: KeyvalueEntry, component: ComponentFacts): Promise<BucketSource> {
    switch (entry.backend) {
      case 'in-memory':
        return memory.source({ maxBytes: entry.maxBytes ?? defaultMemoryBytes })
      case 'filesystem':
        return filesystem.source(await allowedDirectory(entry.settings, allowedHostPaths))
      case 'redis': {
        const { url, username, password, prefix } = entry.redis!
        // Its client is loaded by hosts that use it.
        redis ??= import('./redis-buckets.ts').then((module) => new module.RedisConnections(log))
        return (await redis).source({ url, username, password }, (name) => prefix ?? `${name}:`)
      }
      case 'nats': {
        if (lattice === undefined) {
          throw entry.settings.refusal('this host has no NATS', 'start it with --nats, or choose another backend')
        }
        const { replicas, storage, ttlMs, maxBytes } = entry
        const own = entry.own && openOwn?.(component, entry.own)
        return natsBuckets(own ?? lattice('storage'), {
          ...{ replicas, storage },
          ...(ttlMs !== undefined && { ttlMs }),
          ...(maxBytes !== undefined && { maxBytes }),
        })
      }
    }
  }

  return {
    name: 'keyvalue',
    interfaces: ['store', 'atomics', 'batch'].map((name) => `wasi:keyvalue/${name}@0.2.0-draft`),
    waits: [
      `${store}#open`,
      ...['get', 'set', 'delete', 'exists', 'list-keys'].map((name) => `${store}#[method]bucket.${name}`),
      'wasi:keyvalue/atomics#increment',
      ...['get-many', 'set-many', 'delete-many'].map((name) => `wasi:keyvalue/batch#${name}`),
    ],
    async start() {},
    async configure(component, hostInterfaces) {
      const fallback = lattice === undefined ? 'in-memory' : 'nats'
      const entries = new NamedEntries(hostInterfaces, keyvalueConfigKeys, (settings) =>
        parseKeyvalueEntry(settings, fallback),
      )
      await using sources = new AsyncDisposableStack()
      const opened = new Map<KeyvalueEntry, OpenEntry>()
      for (const entry of entries.all())
        opened.set(entry, { entry, source: sources.use(await sourceOf(entry, component)) })
      const owned = sources.move()
      const binding = new KeyvalueBinding({
        component,
        find: (name) => {
          const found = entries.find(name)
          const value = found && opened.get(found.value)
          return value && found ? { ...value, named: found.named } : undefined
        },
        log,
        onRelease: () => {
          open.delete(binding)
          owned
            .disposeAsync()
            .catch((error) => log.error({ event: 'keyvalue.release_failed', err: error }, 'not released'))
        },
      })
      open.add(binding)
      return binding
    },
    async [Symbol.asyncDispose]() {
      for (const binding of [...open]) binding.release()
    },
  }
}
