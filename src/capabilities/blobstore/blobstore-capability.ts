import type { Clock } from '../../clock/clock.ts'
import { audienceOf } from '../../federation/binding.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { SvidSource } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import { allowedDirectory } from '../allowed-directory.ts'
import type { Capability } from '../capability.ts'
import { HeldCredentials } from '../credentials/held-credentials.ts'
import type { LatticeSource } from '../lattice-source.ts'
import { NamedEntries } from '../named-entries.ts'
import type { OpenOwnLattice } from '../own-lattice.ts'
import type { ContainerSource } from './blob-container.ts'
import { BlobstoreBinding } from './blobstore-binding.ts'
import { type BlobstoreEntry, blobstoreKeys, parseBlobstoreEntry } from './blobstore-config.ts'
import { filesystemContainers } from './filesystem-containers.ts'
import { MemoryContainers } from './memory-containers.ts'
import { natsContainers } from './nats-containers.ts'
import { s3Containers } from './s3-containers.ts'

export type BlobstoreCapabilityOptions = {
  readonly log: Log
  readonly clock: Clock
  readonly fetch: typeof globalThis.fetch
  /** For the credentials of the backend s3. Stays with its owner. */
  readonly svids: Pick<SvidSource, 'open'>
  /** Default: none, so no containers of NATS, and entries without a backend are in memory. */
  readonly lattice?: LatticeSource | undefined
  /** For entries with `nats-audience`; given wherever `lattice` is. */
  readonly openOwn?: OpenOwnLattice | undefined
  /** Directories under which the containers of the backend filesystem may stand. */
  readonly allowedHostPaths: readonly string[]
}

/** `wasi:blobstore` 0.2.0-draft: one backend for each hostInterfaces entry, containers apart by namespace. */
export function createBlobstoreCapability(options: BlobstoreCapabilityOptions): Capability {
  const { log, lattice, openOwn, allowedHostPaths } = options
  const memory = new MemoryContainers()
  const open = new Set<BlobstoreBinding>()

  async function sourceOf(entry: BlobstoreEntry, component: ComponentFacts): Promise<ContainerSource> {
    switch (entry.backend) {
      case 'in-memory':
        return memory.source({ maxBytes: entry.maxBytes })
      case 'filesystem':
        return filesystemContainers(await allowedDirectory(entry.settings, allowedHostPaths))
      case 'nats':
        if (lattice === undefined) {
          throw entry.settings.refusal('this host has no NATS', 'start it with --nats, or choose another backend')
        }
        return natsContainers((entry.own && openOwn?.(component, entry.own)) ?? lattice('storage'), {
          replicas: entry.replicas,
          storage: entry.storage,
        })
      case 's3':
        return s3Source(entry.s3!, component)
    }
  }

  /** The host asks STS with the component's identity; the guest sees neither token nor keys. */
  function s3Source(
    { endpoint, bucket, binding }: NonNullable<BlobstoreEntry['s3']>,
    component: ComponentFacts,
  ): ContainerSource {
    const { svids, fetch, clock } = options
    const identity = svids.open(component)
    const held = new HeldCredentials({ binding, identity, fetch, clock, log, onChange: () => {} })
    identity.onChange((change) => {
      if (change.kind === 'evicted' && change.reason !== 'capacity' && change.audiences.includes(audienceOf(binding))) {
        held.evict(change.reason)
      }
    })
    const source = s3Containers({ endpoint, bucket, region: binding.region, credentials: held, fetch, clock })
    return {
      ...source,
      async [Symbol.asyncDispose]() {
        held.close()
        identity.release()
      },
    }
  }

  const container = 'wasi:blobstore/container#[method]container'
  return {
    name: 'blobstore',
    interfaces: ['blobstore', 'container', 'types'].map((name) => `wasi:blobstore/${name}@0.2.0-draft`),
    waits: [
      ...[
        'create-container',
        'get-container',
        'delete-container',
        'container-exists',
        'copy-object',
        'move-object',
      ].map((name) => `wasi:blobstore/blobstore#${name}`),
      ...['info', 'get-data', 'write-data', 'list-objects', 'delete-object', 'delete-objects', 'has-object'].map(
        (name) => `${container}.${name}`,
      ),
      ...['object-info', 'clear'].map((name) => `${container}.${name}`),
      'wasi:blobstore/types#[static]outgoing-value.finish',
      'wasi:blobstore/types#[static]incoming-value.incoming-value-consume-sync',
    ],
    async start() {},
    async configure(component, hostInterfaces) {
      const fallback = lattice === undefined ? 'in-memory' : 'nats'
      const entries = new NamedEntries(hostInterfaces, Object.keys(blobstoreKeys), (settings) =>
        parseBlobstoreEntry(settings, fallback),
      )
      await using sources = new AsyncDisposableStack()
      const opened = new Map<BlobstoreEntry, ContainerSource>()
      for (const entry of entries.all()) opened.set(entry, sources.use(await sourceOf(entry, component)))
      const owned = sources.move()
      const binding = new BlobstoreBinding({
        component,
        find: (name) => {
          const found = entries.find(name)
          const source = found && opened.get(found.value)
          return source && found ? { entry: found.value, source, named: found.named } : undefined
        },
        maxObjectBytes: Math.max(...entries.all().map(({ maxObjectBytes }) => maxObjectBytes)),
        log,
        onRelease: () => {
          open.delete(binding)
          owned
            .disposeAsync()
            .catch((error) => log.error({ event: 'blobstore.release_failed', err: error }, 'not released'))
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
