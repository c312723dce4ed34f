import type { Lattice, LatticeSubscription } from '../lattice/lattice.ts'
import { allHeartbeats, hostOfHeartbeat } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import type { HostIdentity } from './host-identity.ts'
import { hostHeartbeat } from './messages.ts'
import { parseMessage } from './proto-json.ts'

const maxHeartbeatBytes = 262_144

export type NeighboursOptions = {
  readonly identity: HostIdentity
  readonly startedAt: Date
  readonly log: Log
  /** A heartbeat of another host with the same id came. `elder`: it was started before this one. */
  readonly onSameId: (other: 'elder' | 'younger') => void
}

/**
 * Listens to the heartbeats of all hosts and says in the log when another one has this one's id or friendly name: the operator then takes
 * both for one host, and nothing else would tell.
 */
export function watchNeighbours(
  lattice: Lattice,
  { identity, startedAt, log, onSameId }: NeighboursOptions,
): LatticeSubscription {
  const said = new Set<string>()
  const say = (key: string, event: string, text: string) => {
    if (said.has(key) || said.size > 100) return
    said.add(key)
    log.error({ event, hostId: identity.hostId, friendlyName: identity.friendlyName }, text)
  }
  return lattice.subscribe(allHeartbeats, {
    handle({ subject, payload }) {
      const hostId = hostOfHeartbeat(subject)
      if (hostId === undefined || payload.length > maxHeartbeatBytes) return
      let other: ReturnType<typeof hostHeartbeat.decode>
      try {
        other = parseMessage(hostHeartbeat, payload)
      } catch {
        return // its own operator will tell it
      }
      if (hostId === identity.hostId) {
        const otherMs = other.startedAt?.getTime() ?? Number.POSITIVE_INFINITY
        if (otherMs !== startedAt.getTime()) {
          say(
            `id ${other.startedAt?.toISOString()}`,
            'control.id-conflict',
            'another host has the same id: give each its own --host-id; the one that was started later keeps silent meanwhile',
          )
          onSameId(otherMs < startedAt.getTime() ? 'elder' : 'younger')
        }
      } else if (other.friendlyName === identity.friendlyName) {
        say(
          `name ${hostId}`,
          'control.name-conflict',
          `host ${hostId} has the same friendly name: the operator takes both for one`,
        )
      }
    },
  })
}
