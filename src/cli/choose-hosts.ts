import { HeraldError } from '../errors/herald-error.ts'
import type { Fleet, FleetHost } from './lattice-client.ts'
import { nameOf } from './lattice-client.ts'

/** What a workload asks of a host; upstream's rule. */
export type Placement = {
  readonly hostSelector: Readonly<Record<string, string>>
  readonly environment: string | undefined
  readonly hostId: string | undefined
}

/** As upstream's operator: above this a host gets nothing new. Here it only comes last, as there may be no other. Percent. */
const busyPercent = 80

/**
 * Hosts that take work and match, for `count` replicas: those first that run fewest of this workload (`own`), are not busy, and run fewest
 * workloads, by what they say of themselves; among equals any one. A host may be chosen several times.
 * @throws ERR_DEPLOY_NO_HOST
 */
export function chooseHosts(
  fleet: Fleet,
  placement: Placement,
  {
    count,
    own,
    exclude = new Set(),
  }: { count: number; own: ReadonlyMap<string, number>; exclude?: ReadonlySet<string> },
): readonly FleetHost[] {
  const matching = fleet.hosts.filter((host) => host.acceptsWork && !exclude.has(host.id) && matches(host, placement))
  if (count > 0 && matching.length === 0) throw noHost(fleet, placement, exclude)
  const load = matching.map((host) => ({
    host,
    own: own.get(host.id) ?? 0,
    busy: isBusy(host),
    workloads: Number(host.heartbeat.workloadCount),
    tie: Math.random(),
  }))
  return Array.from({ length: count }, () => {
    load.sort((a, b) => a.own - b.own || Number(a.busy) - Number(b.busy) || a.workloads - b.workloads || a.tie - b.tie)
    const [best] = load
    if (best === undefined) throw noHost(fleet, placement, exclude)
    best.own++
    best.workloads++
    return best.host
  })
}

export function matches({ id, heartbeat }: FleetHost, { hostSelector, environment, hostId }: Placement): boolean {
  if (hostId !== undefined && hostId !== id) return false
  if (environment !== undefined && environment !== heartbeat.environment) return false
  return Object.entries(hostSelector).every(([key, value]) => heartbeat.labels[key] === value)
}

function isBusy({ heartbeat }: FleetHost): boolean {
  const { systemCpuUsage, systemMemoryTotal: total, systemMemoryFree: free } = heartbeat
  const memoryPercent = total === 0n ? 0 : 100 - (Number(free) / Number(total)) * 100
  return systemCpuUsage > busyPercent || memoryPercent > busyPercent
}

function noHost(
  { hosts }: Fleet,
  { hostSelector, environment, hostId }: Placement,
  exclude: ReadonlySet<string>,
): HeraldError {
  const wanted = [
    ...(hostId === undefined ? [] : [`the id ${hostId}`]),
    ...(environment === undefined ? [] : [`the environment ${environment}`]),
    ...Object.entries(hostSelector).map(([key, value]) => `the label ${key}=${value}`),
  ]
  const others = hosts.filter(({ id }) => !exclude.has(id))
  const seen = others
    .map((host) => {
      const labels = Object.entries(host.heartbeat.labels).map(([key, value]) => `${key}=${value}`)
      const facts = [...labels, host.heartbeat.environment && `environment ${host.heartbeat.environment}`]
      return `${nameOf(host)} (${[...facts.filter(Boolean), ...(host.acceptsWork ? [] : ['draining'])].join(', ')})`
    })
    .join('; ')
  return new HeraldError(
    'ERR_DEPLOY_NO_HOST',
    others.length === 0
      ? `no ${exclude.size > 0 ? 'other ' : ''}Herald host answers on this lattice`
      : `no host takes work with ${wanted.length === 0 ? 'any label' : wanted.join(' and ')}`,
    {
      hint:
        others.length === 0
          ? 'start one: herald host --nats URL, or herald up; or wait for one: --wait'
          : `there are: ${seen}`,
    },
  )
}
