import { otherKeys } from '../observability/gathered-counts.ts'
import { type AuditEvent, partsOfEvent } from './herald-audit-event.ts'

/** Something that one component did, by what it did it to: an edge of the graph of who calls what. */
export type ActivityEdge = {
  readonly workloadId: string
  readonly component: string
  /**
   * `audience`: it got tokens or credentials for it · `origin`: its requests went there, signed · `host`: others did · `component`: it called that
   * one · `published`, `handled`: messages of these subjects.
   */
  readonly kind: 'audience' | 'origin' | 'host' | 'component' | 'published' | 'handled'
  readonly target: string
  /** Tokens handed out, requests signed or sent, calls made. */
  readonly count: number
  readonly refused: number
  /** As which it got the last token; empty when it got none. */
  readonly spiffeId: string
  readonly lastAt: Date
}

/** Something that is no event of the audit trail, and happened so many times since it was told last. */
export type Traffic = {
  readonly workloadId: string
  readonly component: string
  readonly kind: 'host' | 'published' | 'handled'
  readonly target: string
  readonly count: number
}

/** What the audit events of one host, and its traffic, come to, for each component; bounded. */
export interface ActivityBook {
  add(event: AuditEvent): void
  addTraffic(traffic: Traffic, at: Date): void
  /** Of one workload. */
  of(workloadId: string): readonly ActivityEdge[]
  /** Forgets all others. */
  keep(workloadIds: ReadonlySet<string>): void
}

const maxWorkloads = 5_000
const maxEdgesOfWorkload = 128
/** Of these, hosts: a guest that may reach any could name as many as it likes. */
const maxHostsOfWorkload = 48

type Edge = { -readonly [K in keyof ActivityEdge]: ActivityEdge[K] }

export function createActivityBook(): ActivityBook {
  const workloads = new Map<string, Map<string, Edge>>()

  function edgeOf(
    { workloadId, component, at }: Pick<Edge, 'workloadId' | 'component'> & { readonly at: Date | undefined },
    kind: Edge['kind'],
    target: string,
  ): Edge | undefined {
    if (target === '' || workloadId === '') return undefined
    let edges = workloads.get(workloadId)
    if (edges === undefined) {
      if (workloads.size >= maxWorkloads) workloads.delete(workloads.keys().next().value as string)
      edges = new Map()
      workloads.set(workloadId, edges)
    }
    const key = JSON.stringify([component, kind, target])
    const known = edges.get(key)
    if (known !== undefined) return known
    // What a guest asks for is the guest's to choose: what was refused gives way to what was not.
    if (edges.size >= maxEdgesOfWorkload) {
      const refused = [...edges].find(([, { count }]) => count === 0)
      if (refused === undefined) return undefined
      edges.delete(refused[0])
    }
    const edge = {
      ...{ workloadId, component, kind, target, count: 0, refused: 0, spiffeId: '' },
      lastAt: at ?? new Date(0),
    }
    edges.set(key, edge)
    return edge
  }

  function edgeOfEvent({ component, at }: AuditEvent, kind: Edge['kind'], target: string): Edge | undefined {
    return component && edgeOf({ ...component, at }, kind, target)
  }

  function count(event: AuditEvent, kind: Edge['kind'], target: string, what: 'count' | 'refused'): void {
    const edge = edgeOfEvent(event, kind, target)
    if (edge === undefined) return
    edge[what] += Math.max(1, event.count)
    edge.lastAt = event.at ?? edge.lastAt
    if (event.spiffeId !== '') edge.spiffeId = event.spiffeId
  }

  return {
    add(event) {
      const { area, kind } = partsOfEvent(event)
      const to = area === 'calls' ? 'component' : 'origin'
      switch (kind) {
        case 'refused':
          return count(event, event.target === '' ? 'audience' : to, event.target || event.audience, 'refused')
        case 'granted':
        case 'delivered':
        case 'exchanged':
          return count(event, 'audience', event.audience, 'count')
        case 'signed':
        case 'called':
          return count(event, to, event.target, 'count')
        case 'renewed': {
          const edge = edgeOfEvent(event, 'audience', event.audience)
          if (edge === undefined) return
          edge.lastAt = event.at ?? edge.lastAt
          if (event.spiffeId !== '') edge.spiffeId = event.spiffeId
        }
      }
    },
    addTraffic({ workloadId, component, kind, target, count: times }, at) {
      const edges = [...(workloads.get(workloadId)?.values() ?? [])]
      const full = kind === 'host' && edges.filter((each) => each.kind === 'host').length >= maxHostsOfWorkload
      const known = edges.some((each) => each.kind === kind && each.component === component && each.target === target)
      const edge = edgeOf({ workloadId, component, at }, kind, full && !known ? otherKeys : target)
      if (edge === undefined) return
      edge.count += times
      edge.lastAt = at
    },
    of: (workloadId) => [...(workloads.get(workloadId)?.values() ?? [])],
    keep(workloadIds) {
      for (const id of workloads.keys()) if (!workloadIds.has(id)) workloads.delete(id)
    },
  }
}
