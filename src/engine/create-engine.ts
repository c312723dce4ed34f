import type { Clock } from '../clock/clock.ts'
import type { DurationPoint } from '../observability/duration-series.ts'
import type { Log } from '../observability/log.ts'
import { measured, type Tracing } from '../observability/tracer.ts'
import { wasiInterfaces, wasiWaits } from '../wasi/wasi-interfaces.ts'
import type { CellComponentInit } from './cell-protocol.ts'
import type { SentRequests } from './cell-reports.ts'
import { SpareCells } from './cell-worker.ts'
import { Compiler } from './compiler.ts'
import { parseInterfaceName } from './component-imports.ts'
import type {
  Cell,
  CellIsolation,
  CellSpec,
  ComponentDescription,
  ComponentLink,
  Engine,
  WitInterface,
} from './engine.ts'
import { Parking } from './parking.ts'
import { CellProcesses } from './process/cell-processes.ts'
import { grantsOf } from './process/process-grants.ts'
import { defaultRestartPausesMs } from './restart-pauses.ts'
import { SupervisedCell } from './supervised-cell.ts'
import { Watchdog } from './watchdog.ts'

export type EngineOptions = {
  readonly log: Log
  readonly clock: Clock
  /** Directory for transpiled components, made when it is not there; several hosts may share it. Absent: each start transpiles anew. */
  readonly cacheDir?: string | undefined
  /** For comparisons and tests: run components on jco's untouched glue. */
  readonly keepGlue?: boolean
  /** Pause before each restart of a cell within a minute, ms; one more, and the cell has failed. Default: three at once, then 0.1 to 10 s. */
  readonly restartPausesMs?: readonly number[]
  /** What separates cells whose spec does not say it. Default: `thread`. */
  readonly isolation?: CellIsolation
  /** Idle cells with an `idleTimeoutMs` that keep their threads until that time is over; beyond, the longest idle are parked. Default: 32. */
  readonly warmCells?: number
  /** Default: no spans are made. */
  readonly tracing?: Tracing | undefined
  /** Gets durations of requests that cells took by listeners of their own, what is new each second. Default: they are not timed. */
  readonly onRequests?: ((points: readonly DurationPoint[]) => void) | undefined
  /** Gets outgoing requests that nobody signs, by the host they went to, what is new each second. Default: nobody is told. */
  readonly onSent?: ((sent: SentRequests & { readonly workloadId: string }) => void) | undefined
}

/** The engine of one host. Everything it started ends with its disposal. */
export function createEngine(options: EngineOptions): Engine {
  return new HostEngine(options)
}

class HostEngine implements Engine {
  readonly #options: EngineOptions
  readonly #compiler = new Compiler()
  readonly #watchdog = new Watchdog()
  readonly #parking: Parking
  readonly #spares: SpareCells
  readonly #processes: CellProcesses
  readonly #cells = new Set<SupervisedCell>()

  constructor(options: EngineOptions) {
    this.#options = options
    this.#spares = new SpareCells(options.log)
    this.#processes = new CellProcesses(options.log)
    this.#parking = new Parking({ warmCells: options.warmCells ?? 32 })
  }

  async inspect(
    bytes: Uint8Array,
    { signal, quick = false, tenant }: { signal?: AbortSignal; quick?: boolean; tenant?: string } = {},
  ): Promise<ComponentDescription> {
    const job = {
      quick,
      component: 'to inspect',
      bytes,
      served: undefined,
      waits: wasiWaits,
      memoryLimitMb: 0,
      cacheDir: this.#options.cacheDir,
    }
    return (await this.#compiler.compile(job, { signal, tenant })).description
  }

  async startCell(spec: CellSpec, { signal }: { signal: AbortSignal }): Promise<Cell> {
    const isolated = (spec.isolation ?? this.#options.isolation) === 'process'
    const components: CellComponentInit[] = []
    let untouchedGlue = 0
    for (const { bytes, bindings, capabilityInterfaces, capabilityWaits, links = [], ...rest } of spec.components) {
      const job = {
        component: rest.name,
        bytes,
        served: [...wasiInterfaces, ...capabilityInterfaces, ...links.map(({ imported }) => imported)],
        waits: [...wasiWaits, ...capabilityWaits, ...links.flatMap(waitsOf)],
        memoryLimitMb: rest.limits.memoryLimitMb,
        keepGlue: this.#options.keepGlue ?? false,
        uncompiled: isolated,
        cacheDir: this.#options.cacheDir,
      }
      const about = {
        ...{ 'herald.workload.namespace': spec.tenant, 'herald.workload.name': spec.name },
        'herald.component.name': rest.name,
      }
      const { description, script, modules, cores, memories } = await measured(
        this.#options.tracing?.tracer,
        'herald.component.compile',
        about,
        () => this.#compiler.compile(job, { signal, tenant: spec.tenant }),
      )
      if (!description.glue.slim) {
        untouchedGlue += 1
        const { reason } = description.glue
        this.#options.log.warn(
          { event: 'component.glue_untouched', component: rest.name, reason },
          'component runs on slow glue',
        )
      }
      components.push({
        ...rest,
        links,
        limits: description.answersOnce ? { ...rest.limits, maxInvocations: 1 } : rest.limits,
        script,
        modules,
        ...(cores !== undefined && { cores }),
        memories,
        bindings: bindings.map(({ cellModule, config }) => ({ cellModule: cellModule.href, config })),
        handlerExport: exportOf(description.exports, 'wasi:http/incoming-handler'),
        runExport: exportOf(description.exports, 'wasi:cli/run'),
        exportNames: description.exports.map(({ name }) => name),
      })
    }
    const cell: SupervisedCell = new SupervisedCell(spec, {
      log: this.#options.log,
      threads: isolated ? this.#processes.threads(grantsOf(components, spec.listens === true)) : this.#spares,
      watchdog: this.#watchdog,
      parking: this.#parking,
      components,
      untouchedGlue,
      restartPausesMs: this.#options.restartPausesMs ?? defaultRestartPausesMs,
      tracing: this.#options.tracing,
      onRequests: this.#options.onRequests,
      onSent: this.#options.onSent,
      onClose: () => this.#cells.delete(cell),
    })
    this.#cells.add(cell)
    await cell.start(signal)
    return cell
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#cells].map((cell) => cell.close()))
    this.#watchdog[Symbol.dispose]()
    this.#parking[Symbol.dispose]()
    await this.#spares.close()
    await this.#processes.close()
    await this.#compiler[Symbol.asyncDispose]()
  }
}

/** Any call of another component may wait: for an instance, if for nothing else. */
function waitsOf({ imported, functions }: ComponentLink): string[] {
  const { base } = parseInterfaceName(imported)
  return functions.map((name) => `${base}#${name}`)
}

function exportOf(exports: readonly WitInterface[], base: string): string | undefined {
  return exports.find(({ name }) => name === base || name.startsWith(`${base}@0.2.`))?.name
}
