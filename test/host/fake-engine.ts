import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { CellBinding } from '../../src/capabilities/capability.ts'
import type { Cell, CellSpec, CellState, ComponentDescription, Engine } from '../../src/engine/engine.ts'

/**
 * An engine whose components are JSON: `{imports, exports}` by name. It keeps the engine's contract and remembers what was asked of it,
 * so that the host's own decisions can be seen. Real components run in test/cli.
 */
export class FakeEngine implements Engine {
  readonly cells: FakeCell[] = []
  /** Thrown by the next `startCell` after so many successful ones. */
  failStartAfter: { cells: number; error: Error } | undefined

  async inspect(bytes: Uint8Array): Promise<ComponentDescription> {
    const { imports = [], exports = [] } = JSON.parse(Buffer.from(bytes).toString()) as {
      imports?: string[]
      exports?: string[]
    }
    return {
      imports: imports.map((name) => ({ name, functions: [] })),
      exports: exports.map((name) => ({ name, functions: [] })),
      sizeBytes: bytes.length,
      coreModules: 1,
      minimumMemoryBytes: 65_536,
      answersOnce: false,
      sha256: '0'.repeat(64),
      glue: { slim: true },
    }
  }

  async startCell(spec: CellSpec, { signal }: { signal: AbortSignal }): Promise<Cell> {
    signal.throwIfAborted()
    if (this.failStartAfter !== undefined && this.cells.length >= this.failStartAfter.cells)
      throw this.failStartAfter.error
    const cell = new FakeCell(spec)
    this.cells.push(cell)
    return cell
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export class FakeCell implements Cell {
  readonly spec: CellSpec
  state: CellState = { kind: 'serving' }
  /** One for each `run` that has not ended: resolve it to end the guest. */
  readonly runs: { component: string; end: (exitCode: number) => void; crash: (error: Error) => void }[] = []
  closed: { drainTimeoutMs?: number }[] = []
  #listeners: ((state: CellState) => void)[] = []
  #output: (line: { component: string; stream: 'stdout' | 'stderr'; text: string }) => void = () => {}

  constructor(spec: CellSpec) {
    this.spec = spec
  }
  enter(state: CellState): void {
    this.state = state
    for (const listener of this.#listeners) listener(state)
  }
  print(component: string, text: string): void {
    this.#output({ component, stream: 'stdout', text })
  }
  onStateChange(listener: (state: CellState) => void): void {
    this.#listeners.push(listener)
  }
  onOutput(listener: (line: { component: string; stream: 'stdout' | 'stderr'; text: string }) => void): void {
    this.#output = listener
  }
  connectHttp(): MessagePort {
    return new MessageChannel().port1
  }
  run(component: string, { signal }: { signal: AbortSignal }): Promise<{ exitCode: number }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ exitCode: number }>()
    this.runs.push({ component, end: (exitCode) => resolve({ exitCode }), crash: reject })
    signal.addEventListener('abort', () => reject(signal.reason))
    return promise
  }
  metrics() {
    return {
      requests: 0,
      failures: 0,
      traps: 0,
      restarts: 0,
      watchdogKills: 0,
      cpuLimitMillicores: 0,
      throttledMs: 0,
      cpuRefusals: 0,
      egressRefusals: 0,
      handleLimits: 0,
      endingMs: 0,
      inFlight: 0,
      cpuMs: 0,
      instances: 0,
      listenerRequests: 0,
      untouchedGlue: 0,
      parked: 0,
      processes: 0,
      wakes: 0,
    }
  }
  async close(options: { drainTimeoutMs?: number } = {}): Promise<void> {
    if (this.state.kind === 'stopped') return
    this.closed.push(options)
    for (const run of this.runs) run.crash(new Error('the cell was closed'))
    this.enter({ kind: 'stopped' })
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

export const fakeBinding = (onRelease: () => void): CellBinding => ({
  cellModule: new URL('file:///nowhere.ts'),
  config: {},
  handle: async () => undefined,
  attach: () => {},
  release: onRelease,
})
