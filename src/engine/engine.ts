import type { MessagePort } from 'node:worker_threads'
import type { CellBinding } from '../capabilities/capability.ts'
import type { InterfaceSignatures } from './component-binary.ts'

/**
 * Component bytes → live instances. Guests run in cells (worker threads), one per workload, never on the thread that calls this.
 */
export interface Engine extends AsyncDisposable {
  /**
   * Reads a component without running it. `quick`: without transpiling it, a hundred times faster; `glue` then says that it was not looked at.
   * `tenant` is as in `CellSpec`.
   * @throws ERR_COMPONENT_INVALID and the other ERR_COMPONENT_… codes.
   */
  inspect(
    bytes: Uint8Array,
    options?: { signal?: AbortSignal; quick?: boolean; tenant?: string },
  ): Promise<ComponentDescription>
  /** Transpiles, compiles and instantiates; resolves once the cell serves. @throws HeraldError with the reason it cannot. */
  startCell(spec: CellSpec, options: { signal: AbortSignal }): Promise<Cell>
}

export type WitInterface = {
  /** `wasi:io/streams@0.2.3`; a bare function of the world has the name of the function, a labelled interface its label. */
  readonly name: string
  /** Of one with a label of the component's own, `(implements "…")`: the interface that it is, with version. */
  readonly implements?: string
  readonly functions: readonly string[]
}

export type ComponentDescription = {
  readonly imports: readonly WitInterface[]
  readonly exports: readonly WitInterface[]
  /** Types of their functions, as the component's own bytes describe them. Every engine has them; stand-ins for one may not. */
  readonly signatures?: InterfaceSignatures
  /** Bytes of the component, of its core modules, and the least linear memory it needs. */
  readonly sizeBytes: number
  readonly coreModules: number
  readonly minimumMemoryBytes: number
  /** SHA-256 of the bytes, lowercase hex. */
  readonly sha256: string
  /** Whether jco's glue was slimmed (see `slim-glue.ts`); if not, the component runs correctly but slowly, for this reason. */
  readonly glue: { readonly slim: true } | { readonly slim: false; readonly reason: string }
  /** An instance of it answers one HTTP request only (see `answers-once.ts`): whatever the pool, each request gets a fresh one. */
  readonly answersOnce: boolean
}

/** What a component may use and for how long. Every limit has a default (see `defaultLimits`). */
export type ComponentLimits = {
  /** Cap on each linear memory, MiB. */
  readonly memoryLimitMb: number
  /** Warm instances; 0 = a fresh instance per call. */
  readonly poolSize: number
  /** Retire an instance after so many calls; 0 = never. */
  readonly maxInvocations: number
  /** Longest time from request to the end of its response, ms. */
  readonly requestTimeoutMs: number
  /** Largest request body and largest response body, bytes. */
  readonly maxBodyBytes: number
  /** Longest time a guest may compute without yielding before its cell is ended, ms. */
  readonly watchdogMs: number
  /** Most instances at a time; further calls wait until one is free or their deadline has passed. */
  readonly maxInstances?: number
}

export type ComponentSpec = {
  readonly name: string
  readonly bytes: Uint8Array
  readonly limits: ComponentLimits
  /** What `wasi:cli/environment` shows; nothing of the host's own environment. */
  readonly environment: Readonly<Record<string, string>>
  readonly args: readonly string[]
  /** Origins (`https://api.example.com`, `http://127.0.0.1:9000`, host globs as in the manifest); empty = no outgoing requests. */
  readonly allowedHosts: readonly string[]
  readonly allowedIpNameLookups: readonly string[]
  readonly allowedHostLoopbackPorts: readonly string[]
  readonly preopens: readonly { readonly hostPath: string; readonly guestPath: string; readonly readOnly: boolean }[]
  /** From `Capability.configure`, one per capability that the component imports. */
  readonly bindings: readonly CellBinding[]
  /** Of those capabilities: `Capability.waits` and `Capability.interfaces`. */
  readonly capabilityInterfaces: readonly string[]
  readonly capabilityWaits: readonly string[]
  /** Imports by labels that `bindings` serve; their labels are among `capabilityInterfaces`. Default: none. */
  readonly labels?: readonly LabelledImport[]
  /** Imports that other components of the same cell serve. Default: none. */
  readonly links?: readonly ComponentLink[]
}

/** `binding` is the place in `ComponentSpec.bindings` of the one that serves this label, and nothing else, as the interface (without version) that it is. */
export type LabelledImport = { readonly label: string; readonly interface: string; readonly binding: number }

/** One interface that a component imports and another component of its cell exports; both have the same functions with the same types. */
export type ComponentLink = {
  /** As the importing component names it, with version. */
  readonly imported: string
  readonly functions: readonly string[]
  /** The component that exports it. No chain of links leads back to where it began. */
  readonly component: string
  readonly exported: string
}

/** `process`: a process of the operating system for this cell alone, with no permission that its components were not granted. */
export type CellIsolation = 'thread' | 'process'

export type CellSpec = {
  /** For logs: workload name. */
  readonly name: string
  readonly workloadId: string
  /** Whose it is, its namespace: components of one tenant are compiled one after the other, those of several side by side, in turns. Default: ''. */
  readonly tenant?: string
  readonly components: readonly ComponentSpec[]
  /** What separates it from the host and from other cells. Default: what the engine was made with. */
  readonly isolation?: CellIsolation
  /** `listenHttp` is to be called: a process of its own gets the network for it. Default: only if a component may reach something. */
  readonly listens?: boolean
  /** Absolute paths and addresses no guest ever reaches, whatever `allowedHosts` says (admin socket, metadata addresses are built in). */
  readonly deniedAddresses: readonly string[]
  /**
   * After so long without a call its thread is ended until the next one, which waits for it (about 15 ms, native; 60 ms, JavaScript); sooner when
   * the engine has too many idle cells. What pooled instances remember is lost with it. Absent: never, as it must be where a capability
   * calls the component of its own accord.
   */
  readonly idleTimeoutMs?: number
  /**
   * Thousandths of a processor that its thread may use over time, from 10 to 1,000; while it has used more, its thread sleeps and calls wait, 256 at most and
   * none that would wait for more than 10 s. Threads that V8 shares among all cells (compiling, collecting garbage) are nobody's. Absent: no limit.
   */
  readonly cpuLimitMillicores?: number
}

export type CellState =
  | { readonly kind: 'serving' }
  /** It has no thread for now, and serves all the same: the next call gives it one. */
  | { readonly kind: 'parked' }
  | { readonly kind: 'restarting'; readonly reason: string }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly reason: string }

export interface Cell extends AsyncDisposable {
  readonly state: CellState
  onStateChange(listener: (state: CellState) => void): void
  /** A component's log output: one call per line. `stream` is where the guest wrote it. */
  onOutput(listener: (line: { component: string; stream: 'stdout' | 'stderr'; text: string }) => void): void
  /**
   * Connects an ingress thread to the component that exports `wasi:http/incoming-handler`: the port is transferred to the ingress,
   * which speaks `http-channel.ts` on it. After a restart of the cell the same port goes on working; requests in flight are answered 503.
   */
  connectHttp(component: string): MessagePort
  /**
   * The component owns an address: its cell listens itself (SO_REUSEPORT, so several cells may share it), and no request crosses a thread.
   * Faster than an ingress, with less: no routing by host, and a client of a cell that is ended sees its connection cut instead of a 503.
   * After a restart the new cell listens again. @returns the real port, also when 0 was asked for. @throws ERR_INGRESS_LISTEN
   * Optional: an engine may not offer it.
   */
  listenHttp?(component: string, options: HttpListenOptions): Promise<{ port: number }>
  /** Runs the `wasi:cli/run` export to completion. The exit code is the guest's: 0 ok, 1 `result::err`, or what it passed to `exit`. */
  run(component: string, options: { signal: AbortSignal }): Promise<{ exitCode: number }>
  /**
   * Calls a function of an exported interface, by the names of WIT; values as jco maps them, and such that survive structured clone.
   * Optional: an engine may not offer it.
   * @throws ERR_COMPONENT_TRAP, ERR_COMPONENT_HANDLES, ERR_COMPONENT_DEADLINE, ERR_COMPONENT_BUSY, ERR_CELL_ENDED
   */
  call?(component: string, call: ExportCall, options: { signal: AbortSignal }): Promise<ExportResult>
  metrics(): CellMetrics
  /** No new calls; those in flight may finish within `drainTimeoutMs`, then all is ended. Idempotent. */
  close(options?: { drainTimeoutMs?: number }): Promise<void>
}

export type ExportCall = {
  /** With version. */
  readonly interface: string
  readonly function: string
  readonly args: readonly unknown[]
  readonly timeoutMs: number
}

/** `err`: of a function whose result is a `result`. */
export type ExportResult = { readonly ok: unknown } | { readonly err: unknown }

export type HttpListenOptions = {
  readonly host: string
  readonly port: number
  readonly maxHeaderBytes: number
  readonly keepAliveTimeoutMs: number
  readonly maxConnections: number
}

export type CellMetrics = {
  readonly requests: number
  readonly failures: number
  readonly traps: number
  readonly restarts: number
  /** Restarts because a guest computed without yielding. */
  readonly watchdogKills: number
  /** Outgoing requests, connections and look-ups that policy refused. */
  readonly egressRefusals: number
  /** Calls that ended because the guest held too many handles. */
  readonly handleLimits: number
  /** How long the end of its thread has been waited for, ms; 0 when it is not ending. */
  readonly endingMs: number
  readonly inFlight: number
  /** Processor time of all its threads so far, ms, up to the last time its event loop turned; modulo 2³². */
  readonly cpuMs: number
  /** See `CellSpec`; 0: none. */
  readonly cpuLimitMillicores: number
  /** How long its threads have slept because they had used more than their share of the processor, ms; modulo 2³². */
  readonly throttledMs: number
  /** HTTP requests refused for the same reason. */
  readonly cpuRefusals: number
  readonly instances: number
  /** HTTP requests in flight at its own listeners. */
  readonly listenerRequests: number
  /** Components that run on jco's untouched glue. */
  readonly untouchedGlue: number
  /** 1 while it is without a thread because nobody needs it. */
  readonly parked: number
  /** Times it was given a thread again. */
  readonly wakes: number
  /** Processes of the operating system that it has for itself now. */
  readonly processes: number
}
