import type { MessagePort } from 'node:worker_threads'
import { HeraldError } from '../errors/herald-error.ts'
import type { DurationPoint } from '../observability/duration-series.ts'
import type { Log } from '../observability/log.ts'
import type { Tracing } from '../observability/tracer.ts'
import { CapabilityBroker } from './capability-broker.ts'
import { cellEnded, missingExport } from './cell-errors.ts'
import { CellGates } from './cell-gates.ts'
import type { CellLifeListeners } from './cell-life.ts'
import type { CellComponentInit, ToCellMain } from './cell-protocol.ts'
import { CellReports, type OutputLine, type SentRequests } from './cell-reports.ts'
import { CellSupervisor, type CellThreads } from './cell-supervisor.ts'
import type { Cell, CellMetrics, CellSpec, CellState, ExportCall, ExportResult, HttpListenOptions } from './engine.ts'
import { GuestCalls } from './guest-calls.ts'
import type { Parking } from './parking.ts'
import { Vitals } from './vitals.ts'
import type { Watchdog } from './watchdog.ts'

/** Longest wait for the ingress threads to say that a route is gone, ms. */
const routeGraceMs = 250

export type CellDependencies = {
  readonly log: Log
  readonly threads: CellThreads
  readonly watchdog: Watchdog
  readonly parking: Parking
  readonly components: readonly CellComponentInit[]
  readonly untouchedGlue: number
  readonly restartPausesMs: readonly number[]
  /** Without it no spans are made. */
  readonly tracing: Tracing | undefined
  readonly onRequests: ((points: readonly DurationPoint[]) => void) | undefined
  readonly onSent: ((sent: SentRequests & { readonly workloadId: string }) => void) | undefined
  onClose(): void
}

/** A workload's cell as seen from the control thread: what is asked of it, and what it asks for. */
export class SupervisedCell implements Cell {
  readonly #spec: CellSpec
  readonly #deps: CellDependencies
  readonly #log: Log
  readonly #vitals = new Vitals()
  readonly #broker: CapabilityBroker
  readonly #gates: CellGates
  readonly #calls: GuestCalls
  readonly #reports: CellReports
  readonly #supervisor: CellSupervisor
  readonly #listeners: { readonly component: string; options: HttpListenOptions }[] = []
  /** Clients of its own listeners may wait for answers that no call is in progress for any more. */
  #listenersOpen = false
  #closed: Promise<void> | undefined

  constructor(spec: CellSpec, deps: CellDependencies) {
    this.#spec = spec
    this.#deps = deps
    this.#log = deps.log.child({ workload: spec.name })
    const bindings = new Map(spec.components.map(({ name, bindings }) => [name, bindings]))
    const post = (message: ToCellMain) => this.#supervisor.post(message)
    this.#broker = new CapabilityBroker(bindings, post, { log: this.#log, tracer: deps.tracing?.tracer })
    this.#calls = new GuestCalls(spec.name, post)
    this.#reports = new CellReports(this.#log, {
      onSpans: deps.tracing?.onSpans,
      onRequests: deps.onRequests,
      onSent: ({ component, hosts }) => {
        const ours = spec.components.some(({ name }) => name === component)
        if (ours) deps.onSent?.({ workloadId: spec.workloadId ?? '', component, hosts })
      },
    })
    this.#gates = new CellGates({
      limitsOf: (component) => this.#component(component).limits,
      onWake: () => void this.#supervisor.wake(),
    })
    this.#supervisor = new CellSupervisor({
      ...deps,
      log: this.#log,
      gates: this.#gates,
      vitals: this.#vitals,
      tracer: deps.tracing?.tracer,
      workload: { 'herald.workload.namespace': spec.tenant ?? '', 'herald.workload.name': spec.name },
      idleTimeoutMs: spec.idleTimeoutMs ?? Number.POSITIVE_INFINITY,
      init: {
        name: spec.name,
        deniedAddresses: spec.deniedAddresses,
        vitals: this.#vitals.buffer,
        tracing: deps.tracing?.sampling,
        timed: deps.onRequests !== undefined,
        cpuLimitMillicores: spec.cpuLimitMillicores,
        components: deps.components,
      },
      needed: () => this.#working() || this.#listeners.length > 0 || this.#calls.awaited,
      onMessage: (message) => this.#receive(message),
      onServing: () => this.#resume(),
      onGone: (reason) => {
        this.#broker.abortAll()
        this.#broker.tell('gone')
        this.#calls.abandon(reason)
      },
    })
  }

  get state(): CellState {
    return this.#supervisor.state
  }

  onStateChange(listener: (state: CellState) => void): void {
    this.#supervisor.onStateChange(listener)
  }

  onOutput(listener: (line: OutputLine) => void): void {
    this.#reports.onOutput(listener)
  }

  /** The first start. @throws HeraldError when the guest cannot be started; the cell is closed then. */
  async start(signal: AbortSignal): Promise<void> {
    try {
      await this.#supervisor.start(signal)
    } catch (error) {
      await this.close({ drainTimeoutMs: 0 })
      throw error
    }
  }

  connectHttp(component: string): MessagePort {
    this.#checkHandler(component)
    return this.#gates.connect(component)
  }

  async listenHttp(component: string, options: HttpListenOptions): Promise<{ port: number }> {
    this.#checkHandler(component)
    await this.#served()
    const { port } = await this.#calls.listen(component, options)
    this.#listeners.push({ component, options: { ...options, port } })
    this.#listenersOpen = true
    return { port }
  }

  async run(component: string, { signal }: { signal: AbortSignal }): Promise<{ exitCode: number }> {
    const init = this.#component(component)
    if (init.runExport === undefined) throw missingExport(component, 'wasi:cli/run')
    return (await this.#enterGuest((id) => ({ kind: 'run', id, component }), signal)) as { exitCode: number }
  }

  async call(component: string, call: ExportCall, { signal }: { signal: AbortSignal }): Promise<ExportResult> {
    this.#component(component)
    return (await this.#enterGuest((id) => ({ kind: 'call', id, component, call }), signal)) as ExportResult
  }

  metrics(): CellMetrics {
    const vitals = this.#vitals
    return {
      ...this.#supervisor.metrics(),
      requests: vitals.get('requests'),
      failures: vitals.get('failures'),
      traps: vitals.get('traps'),
      egressRefusals: this.#reports.egressRefusals,
      handleLimits: vitals.get('handleLimits'),
      inFlight: vitals.get('inFlight'),
      cpuMs: vitals.get('cpuMs') >>> 0,
      cpuLimitMillicores: this.#spec.cpuLimitMillicores ?? 0,
      throttledMs: vitals.get('throttledMs') >>> 0,
      cpuRefusals: vitals.get('cpuRefusals'),
      instances: vitals.get('instances'),
      listenerRequests: vitals.get('listenerRequests'),
      untouchedGlue: this.#deps.untouchedGlue,
    }
  }

  close({ drainTimeoutMs = 0 }: { drainTimeoutMs?: number } = {}): Promise<void> {
    this.#closed ??= this.#close(drainTimeoutMs)
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(drainTimeoutMs: number): Promise<void> {
    this.#supervisor.beginClosing()
    this.#broker.tell('draining')
    const until = performance.now() + drainTimeoutMs
    // Routes end on other threads: until those have said so, requests are on their way that nobody else could answer.
    const graceUntil = Math.min(until, performance.now() + routeGraceMs)
    while (!this.#gates.routesGone && performance.now() < graceUntil) await sleep(2)
    this.#supervisor.post({ kind: 'drain', lanes: !this.#gates.routesGone })
    while (this.#supervisor.alive && this.#busy() && performance.now() < until) await sleep(10)
    await this.#supervisor.halt()
    this.#gates.close()
    this.#broker.release()
    this.#deps.onClose()
  }

  #busy(): boolean {
    const awaited = this.#gates.open && this.#gates.routesGone
    return awaited || this.#supervisor.waking || this.#working() || this.#listenersOpen
  }

  /** Calls are in progress. */
  #working(): boolean {
    return this.#vitals.get('inFlight') > 0 || this.#calls.running > 0
  }

  async #enterGuest(message: (id: number) => ToCellMain, signal: AbortSignal): Promise<unknown> {
    await this.#served(signal)
    return this.#calls.enter(message, signal)
  }

  /** @throws ERR_CELL_ENDED when it does not serve, woken if need be */
  async #served(signal?: AbortSignal): Promise<void> {
    await this.#supervisor.wake()
    signal?.throwIfAborted()
    if (this.state.kind !== 'serving') throw cellEnded(`the cell is ${this.state.kind}`)
  }

  #component(name: string): CellComponentInit {
    const init = this.#deps.components.find((component) => component.name === name)
    if (init === undefined) throw new HeraldError('ERR_USAGE', `workload ${this.#spec.name} has no component ${name}`)
    return init
  }

  #checkHandler(component: string): void {
    if (this.#component(component).handlerExport === undefined)
      throw missingExport(component, 'wasi:http/incoming-handler')
  }

  #resume(): void {
    this.#broker.tell('serving')
    for (const { component, options } of this.#listeners) {
      this.#calls.listen(component, options).catch((error) => {
        this.#log.error({ event: 'cell.listen_failed', reason: String(error) }, 'cell cannot listen again')
      })
    }
  }

  #receive(message: Parameters<CellLifeListeners['onMessage']>[0]): void {
    switch (message.kind) {
      case 'listening':
      case 'run-ended':
      case 'call-ended':
        this.#calls.settle(message)
        return
      case 'capability-request':
        void this.#broker.request(message)
        return
      case 'capability-abort':
        this.#broker.abort(message.id)
        return
      case 'capability-told':
        this.#broker.told(message)
        return
      case 'drained':
        this.#listenersOpen = false
        return
      default:
        this.#reports.receive(message)
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
