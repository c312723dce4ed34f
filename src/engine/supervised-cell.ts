import type { MessagePort, Worker } from 'node:worker_threads'
import type { ErrorCode } from '../errors/error-codes.ts'
import { errorCodes } from '../errors/error-codes.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { DurationPoint } from '../observability/duration-series.ts'
import type { Log } from '../observability/log.ts'
import type { SpanSink } from '../observability/span.ts'
import { CapabilityBroker } from './capability-broker.ts'
import { CellGates, type GateNews } from './cell-gates.ts'
import type { CellComponentInit, FromCellMain, ToCellMain, WireError } from './cell-protocol.ts'
import type { SpareCells } from './cell-worker.ts'
import type { Cell, CellMetrics, CellSpec, CellState, ExportCall, ExportResult, HttpListenOptions } from './engine.ts'
import type { Parking } from './parking.ts'
import { Vitals } from './vitals.ts'
import type { Watchdog } from './watchdog.ts'

const startTimeoutMs = 30_000
/** Longest wait for the ingress threads to say that a route is gone, ms. */
const routeGraceMs = 250
/** Pause before the n-th restart within `restartWindowMs`; one more, and the cell has failed. */
export const defaultRestartPausesMs: readonly number[] = [0, 0, 0, 100, 500, 1_000, 2_000, 5_000, 10_000]
const restartWindowMs = 60_000

type Output = { component: string; stream: 'stdout' | 'stderr'; text: string }
/** A run, or a call of an exported function. */
type Run = { resolve(result: unknown): void; reject(error: Error): void }

export type CellDependencies = {
  readonly log: Log
  readonly spares: SpareCells
  readonly watchdog: Watchdog
  readonly parking: Parking
  readonly components: readonly CellComponentInit[]
  readonly untouchedGlue: number
  readonly restartPausesMs: readonly number[]
  /** Gets spans of outgoing requests; without it none are made. */
  readonly onSpans: SpanSink | undefined
  readonly onRequests: ((points: readonly DurationPoint[]) => void) | undefined
  onClose(): void
}

/** A workload's cell as seen from the control thread: starts its thread, watches it, starts it anew. */
export class SupervisedCell implements Cell {
  readonly #spec: CellSpec
  readonly #deps: CellDependencies
  readonly #log: Log
  readonly #vitals = new Vitals()
  readonly #broker: CapabilityBroker
  readonly #gates: CellGates
  readonly #runs = new Map<number, Run>()
  readonly #listeners: { readonly component: string; options: HttpListenOptions }[] = []
  readonly #listening = new Map<number, PromiseWithResolvers<{ port: number }>>()
  readonly #stateListeners: ((state: CellState) => void)[] = []
  readonly #outputListeners: ((line: Output) => void)[] = []
  readonly #closing = new AbortController()
  /** Later than {@link #closing}: nothing may be in flight any more. */
  readonly #halted = new AbortController()
  #state: CellState = { kind: 'restarting', reason: 'starting' }
  #worker: Worker | undefined
  #unwatch: (() => void) | undefined
  #endReason: string | undefined
  #restartTimesMs: number[] = []
  #restarts = 0
  #wakes = 0
  /** The end of the thread of a cell that was parked. */
  #parked: Promise<unknown> | undefined
  #waking: Promise<void> | undefined
  /** Clients of its own listeners may wait for answers that no call is in progress for any more. */
  #listenersOpen = false
  #unpark: (() => void) | undefined
  #watchdogKills = 0
  #egressRefusals = 0
  #endingSinceMs: number | undefined
  #nextRunId = 1
  #closed: Promise<void> | undefined

  constructor(spec: CellSpec, deps: CellDependencies) {
    this.#spec = spec
    this.#deps = deps
    this.#log = deps.log.child({ workload: spec.name })
    const bindings = new Map(spec.components.map(({ name, bindings }) => [name, bindings]))
    this.#broker = new CapabilityBroker(bindings, (message) => this.#post(message))
    this.#gates = new CellGates({
      limitsOf: (component) => this.#component(component).limits,
      onWake: () => void this.#wake(),
    })
  }

  get state(): CellState {
    return this.#state
  }

  onStateChange(listener: (state: CellState) => void): void {
    this.#stateListeners.push(listener)
  }

  onOutput(listener: (line: Output) => void): void {
    this.#outputListeners.push(listener)
  }

  /** The first start. @throws HeraldError when the guest cannot be started; the cell is closed then. */
  async start(signal: AbortSignal): Promise<void> {
    try {
      await this.#startThread(signal)
    } catch (error) {
      await this.close({ drainTimeoutMs: 0 })
      throw error
    }
  }

  connectHttp(component: string): MessagePort {
    const init = this.#component(component)
    if (init.handlerExport === undefined) throw missingExport(component, 'wasi:http/incoming-handler')
    return this.#gates.connect(component)
  }

  async listenHttp(component: string, options: HttpListenOptions): Promise<{ port: number }> {
    const init = this.#component(component)
    if (init.handlerExport === undefined) throw missingExport(component, 'wasi:http/incoming-handler')
    await this.#wake()
    if (this.#state.kind !== 'serving') throw ended(`the cell is ${this.#state.kind}`)
    const { port } = await this.#listen(component, options)
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

  async #enterGuest(message: (id: number) => ToCellMain, signal: AbortSignal): Promise<unknown> {
    await this.#wake()
    signal.throwIfAborted()
    if (this.#state.kind !== 'serving') throw ended(`the cell is ${this.#state.kind}`)
    const id = this.#nextRunId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#runs.set(id, { resolve, reject })
    const onAbort = () => this.#post({ kind: 'abort-run', id })
    signal.addEventListener('abort', onAbort, { once: true })
    this.#post(message(id))
    return promise.finally(() => signal.removeEventListener('abort', onAbort))
  }

  metrics(): CellMetrics {
    const vitals = this.#vitals
    return {
      requests: vitals.get('requests'),
      failures: vitals.get('failures'),
      traps: vitals.get('traps'),
      restarts: this.#restarts,
      watchdogKills: this.#watchdogKills,
      egressRefusals: this.#egressRefusals,
      handleLimits: vitals.get('handleLimits'),
      endingMs: this.#endingSinceMs === undefined ? 0 : performance.now() - this.#endingSinceMs,
      inFlight: vitals.get('inFlight'),
      cpuMs: vitals.get('cpuMs') >>> 0,
      instances: vitals.get('instances'),
      untouchedGlue: this.#deps.untouchedGlue,
      parked: this.#state.kind === 'parked' ? 1 : 0,
      wakes: this.#wakes,
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
    this.#closing.abort(new Error('the cell is closed'))
    this.#broker.tell('draining')
    const until = performance.now() + drainTimeoutMs
    // Routes end on other threads: until those have said so, requests are on their way that nobody else could answer.
    const graceUntil = Math.min(until, performance.now() + routeGraceMs)
    while (!this.#gates.routesGone && performance.now() < graceUntil) await sleep(2)
    this.#post({ kind: 'drain', lanes: !this.#gates.routesGone })
    while ((this.#worker !== undefined || this.#waking !== undefined) && this.#busy() && performance.now() < until)
      await sleep(10)
    this.#endReason = 'the workload was stopped'
    this.#halted.abort(new Error('the cell is closed'))
    if (this.#state.kind !== 'failed') this.#enter({ kind: 'stopped' })
    await Promise.all([this.#worker?.terminate(), this.#parked, this.#waking])
    this.#threadGone()
    this.#gates.close()
    this.#broker.release()
    this.#deps.onClose()
  }

  #listen(component: string, options: HttpListenOptions): Promise<{ port: number }> {
    const id = this.#nextRunId++
    const listening = Promise.withResolvers<{ port: number }>()
    this.#listening.set(id, listening)
    this.#post({ kind: 'listen', id, component, options })
    return listening.promise
  }

  #busy(): boolean {
    const awaited = this.#gates.open && this.#gates.routesGone
    return awaited || this.#waking !== undefined || this.#working() || this.#listenersOpen
  }

  /** Calls are in progress. */
  #working(): boolean {
    return this.#vitals.get('inFlight') > 0 || this.#runs.size > 0
  }

  /** Nothing of it would be missed but its thread. */
  #idle(): boolean {
    const needed = this.#working() || this.#listeners.length > 0 || this.#listening.size > 0
    return this.#state.kind === 'serving' && !needed && this.#vitals.get('held') === 0 && !this.#closing.signal.aborted
  }

  /** Ends the thread of an idle cell; its routes stay, and the next call starts another. */
  async #park(): Promise<void> {
    if (!this.#idle() || !(await this.#gates.letGo())) return
    const worker = this.#worker
    if (worker === undefined || !this.#idle()) {
      this.#gates.rouse()
      return
    }
    this.#worker = undefined
    this.#endReason = 'the cell was parked'
    this.#parked = worker.terminate()
    this.#threadGone()
    this.#enter({ kind: 'parked' })
    await this.#parked
  }

  /** Never rejects: one that cannot be started again is treated like one that ended. */
  #wake(): Promise<void> {
    if (this.#state.kind !== 'parked') return this.#waking ?? Promise.resolve()
    this.#waking ??= (async () => {
      await this.#parked
      this.#wakes += 1
      try {
        await this.#startThread(this.#halted.signal)
      } catch (error) {
        this.#endReason = error instanceof Error ? error.message : String(error)
        this.#restart()
      } finally {
        this.#waking = undefined
      }
    })()
    return this.#waking
  }

  #component(name: string): CellComponentInit {
    const init = this.#deps.components.find((component) => component.name === name)
    if (init === undefined) throw new HeraldError('ERR_USAGE', `workload ${this.#spec.name} has no component ${name}`)
    return init
  }

  async #startThread(signal: AbortSignal): Promise<void> {
    const worker = this.#deps.spares.take()
    this.#worker = worker
    this.#endReason = undefined
    this.#vitals.set('ticking', 0)
    const started = Promise.withResolvers<void>()
    const timer = setTimeout(
      () => this.#end(worker, `it did not start within ${startTimeoutMs / 1000} s`),
      startTimeoutMs,
    )
    const onAbort = () => this.#end(worker, 'the start was cancelled')
    signal.addEventListener('abort', onAbort, { once: true })
    let ready = false
    worker.on('message', (message: FromCellMain) => {
      if (message.kind === 'ready') {
        ready = true
        started.resolve()
      } else if (message.kind === 'failed') started.reject(this.#startError(message.error))
      else this.#receive(message)
    })
    worker.on('error', (error: Error & { code?: string }) => {
      this.#endReason ??=
        error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'it ran out of memory' : `it failed: ${error.message}`
    })
    worker.on('exit', () => {
      const ours = this.#worker === worker
      if (ours) this.#threadGone()
      if (ready) {
        if (ours) this.#restart()
      } else
        started.reject(
          signal.aborted ? signal.reason : this.#startError({ code: '', message: this.#endReason ?? 'it ended' }),
        )
    })
    this.#post({
      kind: 'init',
      cell: {
        name: this.#spec.name,
        deniedAddresses: this.#spec.deniedAddresses,
        vitals: this.#vitals.buffer,
        traced: this.#deps.onSpans !== undefined,
        timed: this.#deps.onRequests !== undefined,
        components: this.#deps.components,
      },
    })
    try {
      await started.promise
      this.#watch(worker)
      this.#enter({ kind: 'serving' })
      this.#broker.tell('serving')
      for (const { component, options } of this.#listeners) {
        this.#listen(component, options).catch((error) => {
          this.#log.error({ event: 'cell.listen_failed', reason: String(error) }, 'cell cannot listen again')
        })
      }
      setTimeout(() => this.#deps.spares.refill(), 50).unref()
    } catch (error) {
      await worker.terminate()
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** From when it serves; the start has its own, longer limit. */
  #watch(worker: Worker): void {
    if (this.#worker !== worker) return
    const limitMs = Math.max(...this.#deps.components.map(({ limits }) => limits.watchdogMs))
    this.#unwatch = this.#deps.watchdog.watch({
      vitals: this.#vitals,
      limitMs,
      onStall: (stalledMs) => {
        if (this.#endingSinceMs === undefined) this.#watchdogKills += 1
        this.#end(worker, `the guest did not yield for ${stalledMs} ms`)
      },
    })
    const { idleTimeoutMs = Number.POSITIVE_INFINITY } = this.#spec
    if (idleTimeoutMs === Number.POSITIVE_INFINITY) return
    const parkable = { vitals: this.#vitals, idleTimeoutMs, idle: () => this.#idle(), park: () => this.#park() }
    this.#unpark = this.#deps.parking.add(parkable)
  }

  #receive(message: FromCellMain): void {
    switch (message.kind) {
      case 'output':
        for (const listener of this.#outputListeners) {
          listener({ component: message.component, stream: message.stream, text: message.text })
        }
        return
      case 'trap':
        this.#log.warn(
          { event: 'component.trapped', component: message.component, reason: message.reason },
          'component trapped',
        )
        return
      case 'egress-refused': {
        const { component, target, reason, count } = message
        this.#egressRefusals += count
        this.#log.warn({ event: 'egress.refused', component, target, reason, count }, 'an outgoing request was refused')
        return
      }
      case 'listening': {
        const listening = this.#listening.get(message.id)
        this.#listening.delete(message.id)
        if (message.port !== undefined) listening?.resolve({ port: message.port })
        else listening?.reject(fromWire(message.error!, 'ERR_INGRESS_LISTEN', this.#spec.name))
        return
      }
      case 'run-ended': {
        const run = this.#runs.get(message.id)
        this.#runs.delete(message.id)
        if (message.error === undefined) run?.resolve({ exitCode: message.exitCode ?? 0 })
        else run?.reject(fromWire(message.error, 'ERR_COMPONENT_TRAP', this.#spec.name))
        return
      }
      case 'call-ended': {
        const call = this.#runs.get(message.id)
        this.#runs.delete(message.id)
        if (message.error === undefined) call?.resolve(message.result)
        else call?.reject(fromWire(message.error, 'ERR_COMPONENT_TRAP', this.#spec.name))
        return
      }
      case 'capability-request':
        return void this.#broker.request(message)
      case 'spans':
        this.#deps.onSpans?.(message.spans)
        return
      case 'requests':
        this.#deps.onRequests?.(message.points)
        return
      case 'drained':
        this.#listenersOpen = false
        return
      case 'capability-abort':
        this.#broker.abort(message.id)
        return
    }
  }

  /** Ends the present thread; its 'exit' event does the rest. */
  #end(worker: Worker, reason: string): void {
    if (this.#worker !== worker) return
    this.#endReason ??= reason
    this.#endingSinceMs ??= performance.now()
    if (this.#state.kind === 'serving') this.#enter({ kind: 'restarting', reason })
    void worker.terminate()
  }

  #threadGone(): void {
    this.#worker = undefined
    this.#endingSinceMs = undefined
    this.#unwatch?.()
    this.#unpark?.()
    for (const name of ['inFlight', 'instances', 'held'] as const) this.#vitals.set(name, 0)
    this.#broker.abortAll()
    this.#broker.tell('gone')
    const reason = this.#endReason ?? 'it ended'
    for (const run of this.#runs.values()) run.reject(ended(reason))
    this.#runs.clear()
    for (const listening of this.#listening.values()) listening.reject(ended(reason))
    this.#listening.clear()
  }

  #restart(): void {
    if (this.#closing.signal.aborted) return
    const reason = this.#endReason ?? 'it ended'
    const now = performance.now()
    this.#restartTimesMs = this.#restartTimesMs.filter((at) => now - at < restartWindowMs)
    const pauseMs = this.#deps.restartPausesMs[this.#restartTimesMs.length]
    if (pauseMs === undefined) {
      this.#fail(reason)
      return
    }
    this.#restartTimesMs.push(now)
    this.#restarts += 1
    this.#enter({ kind: 'restarting', reason })
    this.#log.warn(
      { event: 'cell.restarting', reason, pauseMs, restarts: this.#restarts },
      'cell ended; starting it anew',
    )
    const again = () => {
      if (this.#closing.signal.aborted) return
      this.#startThread(this.#closing.signal).catch((error) => {
        this.#endReason = error instanceof Error ? error.message : String(error)
        this.#restart()
      })
    }
    if (pauseMs === 0) again()
    else setTimeout(again, pauseMs).unref()
  }

  #fail(reason: string): void {
    this.#log.error({ event: 'cell.failed', reason, restarts: this.#restarts }, 'cell ended too often; giving up')
    this.#enter({ kind: 'failed', reason })
  }

  #enter(state: CellState): void {
    if (this.#state.kind === 'stopped') return
    this.#state = state
    this.#gates.announce(this.#news(state))
    for (const listener of this.#stateListeners) listener(state)
  }

  #news(state: CellState): GateNews {
    switch (state.kind) {
      case 'serving':
        return { kind: 'up', thread: this.#worker! }
      case 'parked':
        return { kind: 'parked' }
      case 'restarting':
        return { kind: 'down', reason: state.reason, retryAfterS: 1 }
      case 'failed':
        return { kind: 'down', reason: state.reason, retryAfterS: undefined }
      case 'stopped':
        return { kind: 'down', reason: 'the workload was stopped', retryAfterS: undefined }
    }
  }

  #post(message: ToCellMain): void {
    this.#worker?.postMessage(message)
  }

  #startError(error: WireError): HeraldError {
    return fromWire(error, 'ERR_COMPONENT_START', this.#spec.name)
  }
}

function fromWire(error: WireError, fallback: ErrorCode, workload: string): HeraldError {
  const code = error.code in errorCodes ? (error.code as ErrorCode) : fallback
  return new HeraldError(code, `workload ${workload}: ${error.message}`)
}

function ended(reason: string): HeraldError {
  return new HeraldError('ERR_CELL_ENDED', reason)
}

function missingExport(component: string, name: string): HeraldError {
  return new HeraldError('ERR_COMPONENT_EXPORT_MISSING', `component ${component} does not export ${name}`, {
    hint: 'see what it exports with: herald inspect FILE',
  })
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
