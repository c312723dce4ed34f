import type { Clock } from '../clock/clock.ts'
import type { ConsoleEvent, ConsoleFleet } from '../console/console-fleet.ts'
import { viewLimits } from '../console/fleet-view.ts'
import type { AuditEvent } from '../control/herald-audit-event.ts'
import type { WorkloadActivity } from '../control/herald-messages.ts'
import type { FleetHost, LatticeClient } from './lattice-client.ts'
import { mapAtMost } from './map-at-most.ts'

/** What the console shows, gathered from the hosts: bounded, whoever answers. */
export interface ConsoleSource extends AsyncDisposable {
  /** @throws ERR_LATTICE_… */
  ask(): Promise<ConsoleFleet>
}

/** Events kept of all hosts together. */
const maxEvents = 500
/** Hosts asked at a time. */
const maxAsked = 32

export function createConsoleSource(client: LatticeClient, clock: Clock): ConsoleSource {
  const events: AuditEvent[] = []
  const seen = new Set<string>()
  /** Whose memory has been asked for. */
  const remembered = new Set<string>()
  const mute = new Map<string, number>()

  function add(event: AuditEvent): void {
    const key = `${event.hostId} ${event.run} ${event.sequence}`
    if (seen.has(key)) return
    seen.add(key)
    events.push(event)
    if (events.length <= maxEvents) return
    for (const { hostId, run, sequence } of events.splice(0, events.length - maxEvents))
      seen.delete(`${hostId} ${run} ${sequence}`)
  }

  async function remember(host: FleetHost): Promise<void> {
    if (remembered.has(host.id)) return
    if (remembered.size >= viewLimits.hosts * 2) remembered.clear()
    remembered.add(host.id)
    const { events: last } = await client
      .recentAudit({ id: host.id, kind: 'host' }, undefined)
      .catch(() => ({ events: [] }))
    for (const event of last.slice(-viewLimits.events)) add(event)
    events.sort((a, b) => (a.at?.getTime() ?? 0) - (b.at?.getTime() ?? 0))
  }

  /** Who does not tell is shown without, and is not waited for again for a minute. */
  async function activityOf(host: FleetHost): Promise<readonly WorkloadActivity[]> {
    if ((mute.get(host.id) ?? 0) > clock.nowMs()) return []
    try {
      return await client.activity(host)
    } catch {
      if (mute.size >= viewLimits.hosts * 2) mute.clear()
      mute.set(host.id, clock.nowMs() + 60_000)
      return []
    }
  }

  const following = client.followAudit(add, () => {})
  return {
    async ask() {
      const { hosts, workloads, silent } = await client.fleet({
        maxHosts: viewLimits.hosts,
        maxWorkloads: viewLimits.workloads,
      })
      const told = await mapAtMost(maxAsked, hosts, async (host) => {
        await remember(host)
        const activity = await activityOf(host)
        return activity.slice(0, viewLimits.workloads).map((each) => ({ ...each, host }))
      })
      const shown: readonly ConsoleEvent[] = [...events]
      return { hosts, workloads, silent, activity: told.flat(), events: shown }
    },
    [Symbol.asyncDispose]: () => following[Symbol.asyncDispose](),
  }
}
