import type { ComponentFacts } from '../../identity/component-facts.ts'
import { parseOpenPattern } from '../../lattice/open-subjects.ts'
import type { SubjectPattern } from '../../lattice/subjects.ts'
import type { EntrySettings } from '../entry-settings.ts'
import { type OwnConnection, parseOwnConnection } from '../own-lattice.ts'

/** Keys of an entry's config. Those of `localConfigKeys` may also stand in `localResources.config` of a component, and count more there. */
export const messagingKeys = [
  'subscriptions',
  'consumer_group',
  'publish',
  'max_in_flight',
  'max_waiting',
  'nats_audience',
  'spiffe_id',
] as const
export const localConfigKeys = ['subscriptions', 'consumer_group', 'max_in_flight'] as const

/** One entry of `wasmcloud:messaging`. */
export type MessagingEntry = {
  readonly subscriptions: readonly SubjectPattern[]
  /** Of those with the same group one gets each message; `undefined`: all get it. */
  readonly group: string | undefined
  /** Where the guest may publish and ask, beside answers. */
  readonly publish: readonly SubjectPattern[]
  /** Messages that the component works on at a time. */
  readonly maxInFlight: number
  /** Messages that wait in the host; with more the host leaves its queue group until they have become fewer. */
  readonly maxWaiting: number
  /** `undefined`: the host's connection. */
  readonly own: OwnConnection | undefined
}

/** @throws ERR_CAPABILITY_CONFIG */
export function parseMessagingEntry(settings: EntrySettings, component: ComponentFacts): MessagingEntry {
  const patterns = (key: 'subscriptions' | 'publish'): SubjectPattern[] =>
    settings.list(key).map((text) => {
      const pattern = parseOpenPattern(text)
      if (pattern !== undefined) return pattern
      throw settings.refusal(
        `${key}: ${JSON.stringify(text.slice(0, 100))} cannot be used`,
        'write subjects like orders.created or orders.*; none may begin with a wildcard, $, _, runtime or herald',
      )
    })
  const group = settings.matching(
    'consumer_group',
    /^[\w.-]{1,128}$/,
    'broadcast, or at most 128 letters, digits, . - and _',
  )
  return {
    subscriptions: patterns('subscriptions'),
    group: group === 'broadcast' ? undefined : (group ?? defaultGroup(component)),
    publish: patterns('publish'),
    maxInFlight: settings.integer('max_in_flight', { min: 1, max: 1024, fallback: 512 }),
    maxWaiting: settings.integer('max_waiting', { min: 1, max: 1_000_000, fallback: 8192 }),
    own: parseOwnConnection(settings, { audience: 'nats_audience', spiffeId: 'spiffe_id' }),
  }
}

/**
 * All replicas of a component, on all hosts. The operator names each workload anew, `<deployment>-<hash>-<random>`; what is left
 * without the last two is taken for the deployment.
 */
function defaultGroup({ namespace, workloadName, componentName }: ComponentFacts): string {
  const deployment = workloadName.replace(/-[0-9a-z]{8,10}-[0-9a-z]{8,10}$/, '')
  return `herald.${namespace}.${deployment}.${componentName}`
}
