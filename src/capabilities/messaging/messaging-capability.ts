import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import type { Tracer } from '../../observability/tracer.ts'
import type { Capability } from '../capability.ts'
import { EntrySettings } from '../entry-settings.ts'
import type { LatticeSource } from '../lattice-source.ts'
import type { OpenOwnLattice } from '../own-lattice.ts'
import { MessagingBinding, type OnTraffic } from './messaging-binding.ts'
import { localConfigKeys, messagingKeys, parseMessagingEntry } from './messaging-config.ts'

export type MessagingCapabilityOptions = {
  readonly log: Log
  /** Default: none, and every workload that asks for messaging is refused. */
  readonly lattice?: LatticeSource | undefined
  /** For entries with `nats_audience`; given wherever `lattice` is. */
  readonly openOwn?: OpenOwnLattice | undefined
  /** See `MessagingBindingOptions`. */
  readonly onTraffic?: OnTraffic | undefined
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
}

/** `wasmcloud:messaging` 0.2.0 over NATS: consumer and handler. */
export function createMessagingCapability({
  log,
  lattice,
  openOwn,
  tracer,
  onTraffic,
}: MessagingCapabilityOptions): Capability {
  const open = new Set<MessagingBinding>()
  return {
    name: 'messaging',
    interfaces: ['wasmcloud:messaging/consumer@0.2.0', 'wasmcloud:messaging/types@0.2.0'],
    waits: ['wasmcloud:messaging/consumer#publish', 'wasmcloud:messaging/consumer#request'],
    handles: ['wasmcloud:messaging/handler@0.2.0'],
    async start() {},
    async configure(component, entries, { localConfig = {}, exported = [] }) {
      const handles = exported.includes('wasmcloud:messaging/handler')
      const own = Object.fromEntries(
        localConfigKeys.flatMap((key) => (key in localConfig ? [[key, localConfig[key]!]] : [])),
      )
      const parsed = entries.map((entry) => {
        const settings = new EntrySettings({ ...entry, config: { ...entry.config, ...own } }, messagingKeys)
        if (lattice === undefined) throw settings.refusal('this host has no NATS', 'start it with --nats')
        const found = parseMessagingEntry(settings, component)
        if (found.subscriptions.length > 0 && !handles) {
          throw settings.refusal('it has subscriptions, but the component does not export the handler', 'remove them')
        }
        return found
      })
      const [first] = parsed
      if (parsed.some(({ own }) => JSON.stringify(own) !== JSON.stringify(first?.own))) {
        throw new HeraldError('ERR_CAPABILITY_CONFIG', 'entries of wasmcloud:messaging differ in nats_audience', {
          hint: 'a component has one connection for messages: write the same into each, or into none',
        })
      }
      const connection = first?.own && openOwn?.(component, first.own)
      const binding = new MessagingBinding({
        component,
        entries: parsed,
        lattice: connection?.lattice ?? lattice!('messaging'),
        log,
        tracer,
        onTraffic,
        onRelease() {
          open.delete(binding)
          connection?.[Symbol.asyncDispose]().then(undefined, (error: unknown) =>
            log.error({ event: 'messaging.release_failed', err: error }, 'not released'),
          )
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
