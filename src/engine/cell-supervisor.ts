import type { Log } from '../observability/log.ts'
import { measured, type Tracer } from '../observability/tracer.ts'
import type { CellGates, GateNews } from './cell-gates.ts'
import { CellLife, type CellLifeListeners } from './cell-life.ts'
import type { CellInit, ToCellMain } from './cell-protocol.ts'
import type { CellThread } from './cell-thread.ts'
import type { CellMetrics, CellState } from './engine.ts'
import type { Parking } from './parking.ts'
import { RestartPauses } from './restart-pauses.ts'
import type { Vitals } from './vitals.ts'
import type { Watchdog } from './watchdog.ts'

/** Where threads for cells come from. */
export type CellThreads = {
  take(): CellThread
  /** Makes one ready ahead; to be called when nobody is in a hurry. */
  refill(): void
}

export type CellSupervisorOptions = {
  readonly log: Log
  readonly threads: CellThreads
  readonly watchdog: Watchdog
  readonly parking: Parking
  readonly gates: CellGates
  readonly vitals: Vitals
  /** Makes spans of its starts and of its parking. */
  readonly tracer: Tracer | undefined
  /** Of those spans. */
  readonly workload: { readonly 'herald.workload.namespace': string; readonly 'herald.workload.name': string }
  /** What each thread is given. */
  readonly init: CellInit
  readonly restartPausesMs: readonly number[]
  /** See `CellSpec`; infinity: never parked. */
  readonly idleTimeoutMs: number
  /** Its thread would be missed, by calls or listeners. */
  needed(): boolean
  readonly onMessage: CellLifeListeners['onMessage']
  /** A thread serves, the first or a later one. */
  onServing(): void
  /** There is no thread any more. */
  onGone(reason: string): void
}

/** Keeps one cell going: starts its thread, watches it, starts it anew when it ended, ends it while nobody needs it. */
export class CellSupervisor {
  readonly #options: CellSupervisorOptions
  readonly #restartPauses: RestartPauses
  readonly #stateListeners: ((state: CellState) => void)[] = []
  readonly #closing = new AbortController()
  /** Later than {@link #closing}: nothing may be in flight any more. */
  readonly #halted = new AbortController()
  #state: CellState = { kind: 'restarting', reason: 'starting' }
  #life: CellLife | undefined
  #unwatch: (() => void) | undefined
  #unpark: (() => void) | undefined
  /** The end of the thread of a cell that was parked. */
  #parked: Promise<unknown> | undefined
  #waking: Promise<void> | undefined
  #restarts = 0
  #wakes = 0
  #watchdogKills = 0

  constructor(options: CellSupervisorOptions) {
    this.#options = options
    this.#restartPauses = new RestartPauses(options.restartPausesMs)
  }

  get state(): CellState {
    return this.#state
  }

  get closing(): boolean {
    return this.#closing.signal.aborted
  }

  /** It has a thread, or gets one. */
  get alive(): boolean {
    return this.#life !== undefined || this.#waking !== undefined
  }

  get waking(): boolean {
    return this.#waking !== undefined
  }

  metrics(): Pick<CellMetrics, 'restarts' | 'watchdogKills' | 'wakes' | 'endingMs' | 'parked' | 'processes'> {
    const endingSinceMs = this.#life?.endingSinceMs
    return {
      restarts: this.#restarts,
      watchdogKills: this.#watchdogKills,
      wakes: this.#wakes,
      endingMs: endingSinceMs === undefined ? 0 : performance.now() - endingSinceMs,
      parked: this.#state.kind === 'parked' ? 1 : 0,
      processes: this.#life?.thread.pid === undefined ? 0 : 1,
    }
  }

  onStateChange(listener: (state: CellState) => void): void {
    this.#stateListeners.push(listener)
  }

  /** To the present thread; lost when there is none. */
  post(message: ToCellMain): void {
    this.#life?.post(message)
  }

  /** The first start. @throws what the thread failed with, or the signal's reason */
  start(signal: AbortSignal, cause: 'start' | 'restart' | 'wake' = 'start'): Promise<void> {
    const { tracer, workload } = this.#options
    return measured(tracer, 'herald.cell.start', { ...workload, 'herald.cell.cause': cause }, () => this.#start(signal))
  }

  async #start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { log, init, vitals, threads, onMessage, onGone, onServing } = this.#options
    const life: CellLife = new CellLife(threads.take(), {
      onMessage,
      onGone: (served) => {
        if (this.#life !== life) return
        this.#forget()
        onGone(life.endReason)
        if (served) this.#restart(life.endReason)
      },
    })
    this.#life = life
    vitals.set('ticking', 0)
    await life.start(init, signal)
    this.#watch(life)
    const { pid } = life.thread
    if (pid !== undefined) log.info({ event: 'cell.process_started', pid }, 'cell serves from a process of its own')
    this.#enter({ kind: 'serving' })
    onServing()
    setTimeout(() => threads.refill(), 50).unref()
  }

  /** Gives a parked cell its thread again. Never rejects: one that cannot be started again is treated like one that ended. */
  wake(): Promise<void> {
    if (this.#state.kind !== 'parked') return this.#waking ?? Promise.resolve()
    this.#waking ??= (async () => {
      await this.#parked
      this.#wakes += 1
      try {
        await this.start(this.#halted.signal, 'wake')
      } catch (error) {
        this.#restart(textOf(error))
      } finally {
        this.#waking = undefined
      }
    })()
    return this.#waking
  }

  /** From now on it is neither started anew nor parked. */
  beginClosing(): void {
    this.#closing.abort(new Error('the cell is closed'))
  }

  /** Ends the thread for good. */
  async halt(): Promise<void> {
    const reason = 'the workload was stopped'
    if (this.#state.kind !== 'failed') this.#enter({ kind: 'stopped' })
    const gone = this.#life?.end(reason)
    this.#halted.abort(new Error('the cell is closed'))
    await Promise.all([gone, this.#parked, this.#waking])
    this.#forget()
    this.#options.onGone(reason)
  }

  /** From when it serves; the start has its own, longer limit. */
  #watch(life: CellLife): void {
    if (this.#life !== life) return
    const { watchdog, parking, vitals, init, idleTimeoutMs } = this.#options
    this.#unwatch = watchdog.watch({
      vitals,
      limitMs: Math.max(...init.components.map(({ limits }) => limits.watchdogMs)),
      onStall: (stalledMs) => {
        if (life.endingSinceMs === undefined) {
          this.#watchdogKills += 1
          // It could not count them itself.
          if (init.cpuLimitMillicores !== undefined) vitals.add('cpuSpentMs', stalledMs)
        }
        const reason = `the guest did not yield for ${stalledMs} ms`
        if (this.#state.kind === 'serving') this.#enter({ kind: 'restarting', reason })
        void life.end(reason)
      },
    })
    if (idleTimeoutMs === Number.POSITIVE_INFINITY) return
    this.#unpark = parking.add({ vitals, idleTimeoutMs, idle: () => this.#idle(), park: () => this.#park() })
  }

  #forget(): void {
    this.#life = undefined
    this.#unwatch?.()
    this.#unpark?.()
    for (const name of ['inFlight', 'instances', 'held', 'listenerRequests'] as const) this.#options.vitals.set(name, 0)
  }

  /** Nothing of it would be missed but its thread. */
  #idle(): boolean {
    const { needed, vitals } = this.#options
    const open = vitals.get('held') > 0 || vitals.get('cpuSpentMs') > 0
    return this.#state.kind === 'serving' && !needed() && !open && !this.closing
  }

  /** Ends the thread of an idle cell; its routes stay, and the next call starts another. */
  async #park(): Promise<void> {
    const { gates, onGone, tracer, workload } = this.#options
    if (!this.#idle() || !(await gates.letGo())) return
    const life = this.#life
    if (life === undefined || !this.#idle()) {
      gates.rouse()
      return
    }
    const reason = 'the cell was parked'
    this.#parked = life.end(reason)
    this.#forget()
    onGone(reason)
    this.#enter({ kind: 'parked' })
    await measured(tracer, 'herald.cell.park', workload, async () => this.#parked)
  }

  #restart(reason: string): void {
    if (this.closing) return
    const { log } = this.#options
    const pauseMs = this.#restartPauses.next()
    if (pauseMs === undefined) {
      log.error({ event: 'cell.failed', reason, restarts: this.#restarts }, 'cell ended too often; giving up')
      this.#enter({ kind: 'failed', reason })
      return
    }
    this.#restarts += 1
    this.#enter({ kind: 'restarting', reason })
    log.warn({ event: 'cell.restarting', reason, pauseMs, restarts: this.#restarts }, 'cell ended; starting it anew')
    const again = () => {
      if (!this.closing) this.start(this.#closing.signal, 'restart').catch((error) => this.#restart(textOf(error)))
    }
    if (pauseMs === 0) again()
    else setTimeout(again, pauseMs).unref()
  }

  #enter(state: CellState): void {
    if (this.#state.kind === 'stopped') return
    this.#state = state
    this.#options.gates.announce(this.#news(state))
    for (const listener of this.#stateListeners) listener(state)
  }

  #news(state: CellState): GateNews {
    switch (state.kind) {
      case 'serving':
        return { kind: 'up', thread: this.#life!.thread }
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
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
