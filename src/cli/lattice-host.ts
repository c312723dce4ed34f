import { hostname, networkInterfaces } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { systemClock } from '../clock/clock.ts'
import type { NatsOptions } from '../config/contexts.ts'
import type { ControlledHost, WorkloadReport } from '../control/controlled-host.ts'
import { createControl } from '../control/create-control.ts'
import { isHeraldError } from '../errors/herald-error.ts'
import type { Host } from '../host/host.ts'
import type { WorkloadStatus } from '../host/workload-state.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { Log } from '../observability/log.ts'
import { wasiInterfaces } from '../wasi/wasi-interfaces.ts'
import { capabilityInterfaces } from './assess-component.ts'
import type { HostOperations } from './host-operations.ts'
import { inventoriedHost, type OutputTap } from './inventoried-host.ts'
import type { RegistryImages } from './registry-images.ts'
import type { WiredHost } from './wire-host.ts'

export type LatticeHostOptions = NatsOptions & {
  readonly nats: readonly string[]
  readonly friendlyName?: string
  readonly hostname?: string
  readonly stopDelay?: number
  /** Infinite: orphans are kept. */
  readonly orphanAfter?: number
  readonly environment?: string
  /** Whether audit events are published. Default: true. */
  readonly auditNats?: boolean
}

export type LatticeHostContext = {
  readonly wired: WiredHost
  readonly images: RegistryImages
  /** Makes the connection that this host is spoken to on. */
  readonly connectNats: (name: string) => Lattice
  readonly labels: Readonly<Record<string, string>>
  readonly version: string
  readonly inKubernetes: boolean
  readonly drainTimeoutMs: number
  /** How long requests are still taken once draining has begun. */
  readonly drainDelayMs: number
  readonly operations?: HostOperations | undefined
  readonly log: Log
  /** Draining begins when it aborts. */
  readonly signal: AbortSignal
  /** Makes it abort, as a SIGTERM would. */
  readonly drain: () => void
  readonly output: OutputTap
  /** Whether `file://` images are taken over the lattice. Default: false. */
  readonly allowFileImages?: boolean
}

/** Measured with upstream's operator: requests came for up to 0.15 s; the endpoints have to reach every node of a cluster. */
const defaultStopDelayMs = 3_000
/** The operator waits 30 s for a stop: what is in flight gets what is left of it. */
const longestStopDrainMs = 20_000

/**
 * Puts a host on the lattice and keeps it there until `signal` aborts; then it takes no new work, finishes what is in flight and leaves.
 * @throws ERR_LATTICE_CONFIG, ERR_CONTROL_IDENTITY_INVALID, before anything is announced
 */
export async function serveOnLattice(options: LatticeHostOptions, context: LatticeHostContext): Promise<void> {
  const { wired, labels, version, inKubernetes, drainTimeoutMs, log, signal, drain, output } = context
  const { allowFileImages = false } = context
  await using lattice = context.connectNats('control')
  context.operations?.watchLattice(lattice)
  await using _audit = options.auditNats === false ? undefined : wired.audit.publishOn(lattice)
  await using control = createControl({
    lattice,
    host: controlHost(context),
    stopDelayMs: options.stopDelay ?? defaultStopDelayMs,
    ...(options.orphanAfter !== undefined && {
      orphans: Number.isFinite(options.orphanAfter) ? { kind: 'stop', afterMs: options.orphanAfter } : { kind: 'keep' },
    }),
    identity: {
      hostId: wired.host.id,
      hostname: options.hostname ?? (inKubernetes ? podAddress() : hostname()),
      friendlyName: options.friendlyName ?? `herald-${wired.host.id.slice(0, 8).toLowerCase()}`,
      labels,
      environment: options.environment,
      version,
    },
    log,
    clock: systemClock,
    allowFileImages,
    inventoried: inventoriedHost(wired, { drain, output, acceptsFiles: allowFileImages }),
    onSilence: (silent) => context.operations?.keepsSilent(silent),
  })
  await aborted(signal)
  control.refuseStarts()
  await setTimeout(context.drainDelayMs)
  await wired.drain({ drainTimeoutMs })
}

/** Fits the host to what the control room needs. */
export function controlHost({
  wired,
  images,
  drainTimeoutMs,
}: Pick<LatticeHostContext, 'wired' | 'images' | 'drainTimeoutMs'>): ControlledHost {
  const { host } = wired
  return {
    async start({ workloadId, workload, credentials }, { signal }) {
      await host.deploy(workload, { workloadId, signal, images: images.source(credentials) })
    },
    status: (workloadId) => toReport(host.status().find(({ id }) => id === workloadId)),
    async stop(workloadId) {
      try {
        await host.stop(workloadId, { drainTimeoutMs: Math.min(drainTimeoutMs, longestStopDrainMs) })
      } catch (error) {
        if (!isHeraldError(error, 'ERR_WORKLOAD_NOT_FOUND')) throw error
      }
    },
    summary: () => ({
      ...countWorkloads(host),
      // WASI's own names have no version here: any 0.2.x is served alike.
      imports: [
        ...wasiInterfaces.map((name) => `${name}@0.2.0`),
        ...capabilityInterfaces.map((offered) => offered.interface),
      ],
      exports: ['wasi:http/incoming-handler@0.2.0', 'wasi:cli/run@0.2.0'],
      httpPort: Number(new URL(wired.url).port),
    }),
  }
}

function countWorkloads(host: Host): { workloadCount: number; componentCount: number } {
  const present = host.status().filter(({ state }) => state.kind !== 'stopped' && state.kind !== 'failed')
  return {
    workloadCount: present.length,
    componentCount: present.reduce((sum, { components }) => sum + components.length, 0),
  }
}

function toReport(status: WorkloadStatus | undefined): WorkloadReport | undefined {
  const state = status?.state
  switch (state?.kind) {
    case undefined:
    case 'stopped':
      return undefined
    case 'failed':
      return { state: 'error', message: state.error.describe() }
    case 'running': {
      const restarting = status?.cells.find((cell) => cell.kind === 'restarting')
      return {
        state: 'running',
        message: restarting === undefined ? '' : `a cell is being restarted: ${restarting.reason}`,
      }
    }
    case 'starting':
    case 'completed':
    case 'stopping':
      return { state: state.kind, message: '' }
  }
}

/** Upstream's operator finds the Host of a pod by the pod's IP, and makes EndpointSlices of IPv4 addresses only. */
function podAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const outer = addresses.filter(({ internal }) => !internal)
  return (outer.find(({ family }) => family === 'IPv4') ?? outer[0])?.address ?? hostname()
}

/** A signal listener alone does not keep a process alive. */
async function aborted(signal: AbortSignal): Promise<void> {
  const alive = setInterval(() => {}, 60_000)
  try {
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  } finally {
    clearInterval(alive)
  }
}
