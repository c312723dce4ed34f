import type { ActivityEdge } from '../control/herald-activity-book.ts'
import type { HeraldComponent, WorkloadActivity } from '../control/herald-messages.ts'
import type { InventoriedHost } from '../control/herald-requests.ts'
import type { WireWorkloadState } from '../control/messages.ts'
import type { ComponentStatus, WorkloadState, WorkloadStatus } from '../host/workload-state.ts'
import type { WiredHost } from './wire-host.ts'

/** Log lines of components on their way out; see `createCommandLog`. */
export interface OutputTap {
  /** Called with every line of the log, as written. Listens only while somebody reads. */
  readonly write: (line: string) => void
  onLine(listener: (line: string) => void): () => void
}

export function createOutputTap(): OutputTap {
  const listeners = new Set<(line: string) => void>()
  return {
    write: (line) => {
      for (const listener of listeners) listener(line)
    },
    onLine(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

/** Fits the host to what Herald's own requests need. */
export function inventoriedHost(
  { host, url, audit }: WiredHost,
  { drain, output, acceptsFiles }: { drain: () => void; output: OutputTap; acceptsFiles: boolean },
): InventoriedHost {
  return {
    url,
    acceptsFiles,
    audit,
    drain,
    call: ({ workloadId, ...request }, options) => host.call(workloadId, request, options),
    activity() {
      const present = host.status().filter(({ state }) => state.kind !== 'stopped')
      audit.activity.keep(new Set(present.map(({ id }) => id)))
      return present.map((status) => toActivity(status, audit.activity.of(status.id)))
    },
    workloads: () =>
      host
        .status()
        .filter(({ state }) => state.kind !== 'stopped')
        .map(({ id, namespace, name, state, components, isolation, cells, metrics }) => ({
          workloadId: id,
          namespace,
          name,
          state: wireStates[state.kind],
          message: state.kind === 'failed' ? state.error.describe().slice(0, 500).toWellFormed() : '',
          since: 'since' in state ? state.since : state.at,
          cells: cells.length,
          parked: cells.filter(({ kind }) => kind === 'parked').length,
          cpuLimit: metrics[0]?.cpuLimitMillicores ?? 0,
          throttledMs: metrics.reduce((total, { throttledMs }) => total + throttledMs, 0) >>> 0,
          isolation,
          components: components.map(toComponent),
        })),
    onOutput: (listener) =>
      output.onLine((line) => {
        if (!line.includes('"workloadId"')) return
        const { event, workloadId, namespace, workload, component, stream, text, msg, time } = parse(line)
        if (typeof workloadId !== 'string') return
        const isOutput = event === 'component.output'
        listener({
          workloadId,
          workload: `${namespace}/${workload}`,
          component: typeof component === 'string' ? component : '',
          stream: isOutput ? String(stream) : '',
          text: String(isOutput ? text : msg),
          at: new Date(time as string | number),
        })
      }),
  }
}

const wireStates: Readonly<Record<WorkloadState['kind'], WireWorkloadState>> = {
  starting: 'WORKLOAD_STATE_STARTING',
  running: 'WORKLOAD_STATE_RUNNING',
  completed: 'WORKLOAD_STATE_COMPLETED',
  stopping: 'WORKLOAD_STATE_STOPPING',
  stopped: 'WORKLOAD_STATE_STOPPING',
  failed: 'WORKLOAD_STATE_ERROR',
}

function toComponent({ name, image, imageDigest, audiences, serves }: ComponentStatus): HeraldComponent {
  return {
    name,
    image,
    imageDigest,
    role: roleOf(serves),
    httpHosts: serves.flatMap((service) =>
      service.kind !== 'http' ? [] : service.hosts === 'any' ? ['*'] : service.hosts,
    ),
    listens: serves.flatMap((service) => (service.kind === 'listen' ? [service.url] : [])),
    audiences,
  }
}

function roleOf([first]: ComponentStatus['serves']): string {
  return first === undefined || first.kind === 'listen' ? 'http' : first.kind
}

function toActivity({ id, metrics }: WorkloadStatus, edges: readonly ActivityEdge[]): WorkloadActivity {
  const sum = (of: keyof (typeof metrics)[number]): number => metrics.reduce((total, each) => total + each[of], 0)
  return {
    workloadId: id,
    requests: BigInt(sum('requests')),
    failures: BigInt(sum('failures')),
    traps: BigInt(sum('traps')),
    restarts: BigInt(sum('restarts')),
    egressRefusals: BigInt(sum('egressRefusals')),
    inFlight: Math.max(0, sum('inFlight')),
    instances: sum('instances'),
    edges: edges.map(({ count, refused, kind, ...edge }) => ({
      ...edge,
      kind: edgeKinds[kind],
      count: BigInt(count),
      refused: BigInt(refused),
    })),
  }
}

const edgeKinds = {
  audience: 'EDGE_AUDIENCE',
  origin: 'EDGE_ORIGIN',
  host: 'EDGE_HOST',
  component: 'EDGE_COMPONENT',
  published: 'EDGE_PUBLISHED',
  handled: 'EDGE_HANDLED',
} as const

function parse(line: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}
