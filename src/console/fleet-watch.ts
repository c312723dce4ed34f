import type { Clock } from '../clock/clock.ts'
import { isHeraldError } from '../errors/herald-error.ts'
import type { ConsoleFleet } from './console-fleet.ts'
import { type FleetView, fleetView, type HostView, viewLimits, type WorkloadView } from './fleet-view.ts'

/** `trouble`: the code of the error; its text, which may name servers and credentials, stays with the command. */
export type FleetUpdate = { readonly view: FleetView } | { readonly trouble: string }

export type FleetWatchOptions = {
  /** Asks every host. @throws what the lattice does */
  readonly ask: () => Promise<ConsoleFleet>
  readonly clock: Clock
  /** Between two questions while somebody watches, ms. */
  readonly intervalMs: number
  /** Told of what `ask` throws. */
  readonly onTrouble: (error: unknown) => void
}

/** One question to the hosts at a time, however many watch; none while nobody does. */
export interface FleetWatch extends Disposable {
  now(): Promise<FleetUpdate>
  /** Told at once and at every interval, until disposed. */
  subscribe(listener: (update: FleetUpdate) => void): Disposable
}

/** How long a host that no longer answers is still shown, ms. */
export const forgetAfterMs = 600_000

export function createFleetWatch({ ask, clock, intervalMs, onTrouble }: FleetWatchOptions): FleetWatch {
  const listeners = new Set<(update: FleetUpdate) => void>()
  const ending = new AbortController()
  let known = new Map<string, HostView>()
  /** Requests of each replica at the time of the view before. */
  let counted = new Map<
    string,
    { readonly requests: number; readonly atMs: number; readonly ratePerS: number | undefined }
  >()
  let asking: Promise<FleetUpdate> | undefined
  let running = false

  async function askOnce(): Promise<FleetUpdate> {
    try {
      const view = fleetView(await ask(), clock.nowMs())
      const hosts = new Map(view.hosts.map((host) => [host.id, host]))
      for (const [id, host] of known) {
        if (!hosts.has(id) && hosts.size < viewLimits.hosts && view.atMs - host.lastHeartbeatMs < forgetAfterMs)
          hosts.set(id, { ...host, state: 'not answering', problem: 'what it runs is not known' })
      }
      known = hosts
      return { view: { ...view, hosts: [...hosts.values()], workloads: withRates(view.workloads, view.atMs) } }
    } catch (error) {
      onTrouble(error)
      return { trouble: isHeraldError(error) ? error.code : 'ERR_INTERNAL' }
    }
  }

  /** Questions less than half a second apart tell nothing of a rate: the one before holds. */
  function withRates(workloads: readonly WorkloadView[], atMs: number): readonly WorkloadView[] {
    const next: typeof counted = new Map()
    const rated = workloads.map((workload) => {
      const { requests } = workload
      if (requests === undefined) return workload
      const key = JSON.stringify([workload.hostId, workload.id])
      const before = counted.get(key)
      const passedS = before === undefined ? 0 : (atMs - before.atMs) / 1_000
      if (before !== undefined && passedS < 0.5) {
        next.set(key, before)
        return { ...workload, ratePerS: before.ratePerS }
      }
      const ratePerS = before === undefined ? undefined : Math.max(0, requests - before.requests) / passedS
      next.set(key, { requests, atMs, ratePerS })
      return { ...workload, ratePerS }
    })
    counted = next
    return rated
  }

  function now(): Promise<FleetUpdate> {
    asking ??= askOnce().finally(() => {
      asking = undefined
    })
    return asking
  }

  async function keepAsking(): Promise<void> {
    if (running) return
    running = true
    while (listeners.size > 0 && !ending.signal.aborted) {
      const update = await now()
      for (const listener of listeners) listener(update)
      await clock.sleep(intervalMs, { signal: ending.signal }).catch(() => {})
    }
    running = false
  }

  return {
    now,
    subscribe(listener) {
      listeners.add(listener)
      // Whoever comes between two questions does not wait for the next one.
      if (running) void now().then((update) => listeners.has(listener) && listener(update))
      void keepAsking()
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.dispose]: () => ending.abort(),
  }
}
