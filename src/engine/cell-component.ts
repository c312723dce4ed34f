import { Script } from 'node:vm'
import type { CallGuestOptions, CellCapability, InstanceContext } from '../capabilities/capability.ts'
import type { Tracer } from '../observability/tracer.ts'
import { createWasi } from '../wasi/create-wasi.ts'
import { Roster, type Rostered } from '../wasi/roster.ts'
import { GuestExit, type Wasi } from '../wasi/wasi.ts'
import { handleLimitCode, hasTooManyHandles } from './bound-handles.ts'
import { ByteShelf } from './byte-shelf.ts'
import { CellInstance, type Instantiate } from './cell-instance.ts'
import type { CellComponentInit, WireError } from './cell-protocol.ts'
import { linkImports } from './component-links.ts'
import { type HostedMemory, memoryImport } from './core-module.ts'
import { CpuLimitError, type EntryGate } from './entry-gate.ts'
import { type CallableComponent, DeadlineError, isGuestError, isTrap, kindOfFailure } from './guest-call.ts'
import { GuestEntry } from './guest-entry.ts'
import { InstancePool } from './instance-pool.ts'
import { MemoryShelf, type ShelvedMemory } from './memory-shelf.ts'
import type { Pulse } from './pulse.ts'
import { type EgressRefusal, reportRefusals } from './refusal-report.ts'
import type { ServedExchange } from './served-exchange.ts'
import type { Vitals } from './vitals.ts'

const defaultMaxInstances = 64
const maxWaiting = 1024
/** Nobody waits any more who would be told; a stack for each would cost more than the rest of the end. */
const discarded = new Error('the instance was discarded')

type Call = Rostered & { readonly deadlineMs: number; end(reason: Error): void }

/** One component in its cell: instances, calls, deadlines. */
export class CellComponent implements CallableComponent {
  readonly init: CellComponentInit
  readonly #vitals: Vitals
  readonly #pulse: Pulse
  readonly #gate: EntryGate | undefined
  readonly #onTrap: (reason: string) => void
  readonly #wasi: Wasi
  readonly #capabilities: readonly CellCapability[]
  readonly #componentOf: (name: string) => CallableComponent | undefined
  readonly #instantiate: Instantiate
  readonly #pool: InstancePool<CellInstance>
  readonly #calls = new Roster<Call>()
  readonly #instances = new Roster<CellInstance>()
  readonly #shelf = new MemoryShelf()
  /** What bodies are sent from. */
  readonly bytes = new ByteShelf()
  readonly #take = (length: number): Uint8Array => this.bytes.take(length)
  readonly #hosted = new Map<WebAssembly.Module, HostedMemory>()
  #replenishing = false
  #lastExport: { readonly name: string; readonly exportName: string | undefined } | undefined
  #closed = false

  constructor(
    init: CellComponentInit,
    deps: {
      vitals: Vitals
      pulse: Pulse
      /** Of cells with a share of the processor. */
      gate?: EntryGate | undefined
      capabilities: readonly CellCapability[]
      deniedAddresses: readonly string[]
      onOutput(stream: 'stdout' | 'stderr', text: string): void
      onTrap(reason: string): void
      onEgressRefused(refusal: EgressRefusal): void
      /** An outgoing request that nobody signs was sent to this host. */
      onSent(host: string): void
      tracer?: Tracer | undefined
      /** Another component of the cell, once it is there. */
      componentOf(name: string): CallableComponent | undefined
    },
  ) {
    this.init = init
    this.#componentOf = deps.componentOf
    this.#vitals = deps.vitals
    this.#pulse = deps.pulse
    this.#gate = deps.gate
    this.#onTrap = deps.onTrap
    this.#capabilities = deps.capabilities
    const { environment, args, allowedHosts, allowedIpNameLookups, allowedHostLoopbackPorts, preopens, limits } = init
    const wasiOptions = {
      environment,
      args,
      allowedHosts,
      allowedIpNameLookups,
      allowedHostLoopbackPorts,
      deniedAddresses: deps.deniedAddresses,
      preopens,
      maxBodyBytes: limits.maxBodyBytes,
      onOutput: deps.onOutput,
    }
    const signers = deps.capabilities.flatMap(({ requestSigner }) => requestSigner ?? [])
    this.#wasi = createWasi(wasiOptions, {
      onRefusal: reportRefusals(deps.onEgressRefused),
      signers,
      onSent: deps.onSent,
      tracer: deps.tracer,
    })
    this.#instantiate = new Script(init.script, { filename: `${init.name}.glue.js` }).runInThisContext()
    for (const [name, memory] of init.memories) this.#hosted.set(init.modules.get(name)!, memory)
    this.#pool = new InstancePool({
      create: () => this.#create(),
      destroy: (instance) => this.#destroy(instance),
      keep: limits.poolSize,
      maxItems: Math.max(limits.maxInstances ?? defaultMaxInstances, limits.poolSize, 1),
      maxWaiting,
      maxUses: limits.maxInvocations,
    })
  }

  /** Makes the first instance, so that a component that cannot start is known at once; the others follow one per turn. */
  warm(): void {
    const { handlerExport, runExport, exportNames } = this.init
    // What is only run gets its instance when it runs.
    if (handlerExport === undefined && exportNames.every((name) => name === runExport)) return
    if (this.init.limits.poolSize === 0) {
      this.#destroy(this.#create())
      return
    }
    const next = (): void => {
      if (this.#pool.warm()) setImmediate(next)
    }
    next()
  }

  /** Where instances retire after few calls, the next ones are made when nobody waits for them. */
  #replenish(): void {
    const { poolSize, maxInvocations } = this.init.limits
    if (maxInvocations === 0 || this.#pool.size >= poolSize || this.#replenishing) return
    this.#replenishing = true
    setImmediate(() => {
      this.#replenishing = false
      if (this.#closed) return
      try {
        if (this.#pool.warm()) this.#replenish()
      } catch (error) {
        this.#onTrap(describe(error))
      }
    })
  }

  /** Whether calls are in progress; ends those whose deadline has passed. */
  checkDeadlines(nowMs: number): boolean {
    for (const call of this.#calls.all()) {
      if (nowMs < call.deadlineMs) continue
      this.#calls.leave(call)
      call.end(new DeadlineError(`no answer within ${this.init.limits.requestTimeoutMs} ms`))
    }
    return this.#calls.size > 0
  }

  /** Files, sockets and outgoing requests that its instances have open. */
  get held(): number {
    let count = 0
    for (const { wasi } of this.#instances.all()) count += wasi.openCount
    return count
  }

  /** Answers one HTTP request. Never rejects: what goes wrong is told to the exchange. */
  async serve(exchange: ServedExchange): Promise<void> {
    this.#pulse.start()
    this.#vitals.add('requests', 1)
    this.#vitals.add('inFlight', 1)
    let instance: CellInstance | undefined
    let end: ((reason: Error) => void) | undefined
    let healthy = false
    let answered = false
    const call: Call = {
      place: -1,
      deadlineMs: performance.now() + this.init.limits.requestTimeoutMs,
      end: (reason) => end?.(reason),
    }
    this.#calls.join(call)
    exchange.onGone = call.end
    try {
      instance = this.#takeAtOnce()
      if (instance === undefined) {
        const waiting = new AbortController()
        end = (reason) => waiting.abort(reason)
        instance = await this.#waitForTurn(waiting.signal)
      }
      const current = instance
      end = (reason) => current.end(reason)
      const { request, responseOut, finished, handlerReturned } = current.wasi.startRequest(exchange)
      const handler = current.exports[this.init.handlerExport!] as { handle(request: object, out: object): unknown }
      try {
        await current.call(() => handler.handle(request, responseOut), call)
        healthy = !current.ended
      } finally {
        handlerReturned()
      }
      await finished
      answered = true
    } catch (error) {
      this.#vitals.add('failures', 1)
      this.#fail(exchange, error, instance !== undefined && !healthy)
    } finally {
      exchange.onGone = undefined
      this.#calls.leave(call)
      this.#vitals.add('inFlight', -1)
      // One that came to no proper end may be in a state that no further call expects.
      if (instance !== undefined) this.#pool.checkin(instance, healthy && answered)
      this.#replenish()
    }
  }

  /**
   * Calls a function of an exported interface (with or without version), by its name in jco's mapping.
   * @throws what the guest returned as `err`; else what ended the call
   */
  async call(name: string, fn: string, args: readonly unknown[], options: CallGuestOptions = {}): Promise<unknown> {
    const { deadlineMs = Number.POSITIVE_INFINITY, signal, caller, within } = options
    const exportName = this.#exportName(name)
    if (exportName === undefined) throw new Error(`the component does not export ${name}`)
    this.#pulse.start()
    this.#vitals.add('requests', 1)
    this.#vitals.add('inFlight', 1)
    let instance: CellInstance | undefined
    let end: ((reason: Error) => void) | undefined
    let healthy = false
    const call: Call = {
      place: -1,
      deadlineMs: Math.min(deadlineMs, performance.now() + this.init.limits.requestTimeoutMs),
      end: (reason) => end?.(reason),
    }
    const onAbort = (): void => call.end(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    this.#calls.join(call)
    try {
      signal?.throwIfAborted()
      instance = this.#takeAtOnce()
      if (instance === undefined) {
        const waiting = new AbortController()
        end = (reason) => waiting.abort(reason)
        instance = await this.#waitForTurn(waiting.signal)
      }
      const current = instance
      end = (reason) => current.end(reason)
      current.wasi.callWithin(within)
      const functions = current.exports[exportName] as Record<string, (...args: unknown[]) => unknown>
      const result = await current.call(() => functions[fn]!(...args), { deadlineMs: call.deadlineMs, caller })
      healthy = !current.ended
      return result
    } catch (error) {
      if (isGuestError(error)) healthy = instance !== undefined && !instance.ended
      else {
        this.#vitals.add('failures', 1)
        if (instance !== undefined && isTrap(error) && signal?.aborted !== true) this.#blame(error)
      }
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#calls.leave(call)
      this.#vitals.add('inFlight', -1)
      instance?.wasi.callWithin(undefined)
      if (instance !== undefined) this.#pool.checkin(instance, healthy)
    }
  }

  #takeAtOnce(): CellInstance | undefined {
    return this.#pool.waiting === 0 && this.#gate === undefined ? this.#pool.tryCheckout() : undefined
  }

  /** @throws PoolBusyError when too many wait already; the signal's reason */
  async #waitForTurn(signal: AbortSignal): Promise<CellInstance> {
    await this.#gate?.enter(signal)
    return this.#pool.checkout(signal)
  }

  /** With version; the last one is remembered, as most are asked for again and again. */
  #exportName(name: string): string | undefined {
    if (this.#lastExport?.name === name) return this.#lastExport.exportName
    const exportName = this.init.exportNames.find((each) => each === name || each.startsWith(`${name}@`))
    this.#lastExport = { name, exportName }
    return exportName
  }

  /** Runs `wasi:cli/run` on an instance of its own. @throws what the guest threw, or the signal's reason. */
  async run(signal: AbortSignal): Promise<number> {
    this.#pulse.start()
    const call: Call = { place: -1, deadlineMs: Number.POSITIVE_INFINITY, end: () => {} }
    this.#calls.join(call)
    const instance = this.#create()
    const onAbort = () => instance.end(signal.reason)
    signal.addEventListener('abort', onAbort)
    try {
      if (signal.aborted) onAbort()
      const program = instance.exports[this.init.runExport!] as { run(): unknown }
      await instance.call(() => program.run(), call)
      return 0
    } catch (error) {
      if (error instanceof GuestExit) return error.exitCode
      if (isGuestError(error)) return 1
      this.#vitals.add('failures', 1)
      if (isTrap(error) && !signal.aborted) this.#blame(error)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#calls.leave(call)
      this.#destroy(instance)
    }
  }

  close(reason: Error): void {
    this.#closed = true
    for (const call of this.#calls.all()) call.end(reason)
    this.#pool.close()
  }

  #create(): CellInstance {
    const instance = new CellInstance((self) => this.#prepare(self))
    this.#instances.join(instance)
    this.#vitals.add('instances', 1)
    return instance
  }

  #prepare(context: CellInstance) {
    const wasi = this.#wasi.instance({})
    const imports: Record<string, object> = {
      ...wasi.imports,
      ...linkImports(context, this.init.name, this.init.links, this.#componentOf),
    }
    const given: InstanceContext = {
      get signal() {
        return context.signal
      },
      streams: wasi.streams,
      get deadlineMs() {
        return context.deadlineMs
      },
      get caller() {
        return context.caller
      },
      get trace() {
        return wasi.trace
      },
      end: (reason) => context.end(reason),
    }
    for (const capability of this.#capabilities) Object.assign(imports, capability.prepare(given))
    const memories: ShelvedMemory[] = []
    const entries: GuestEntry[] = []
    const exports = this.#instantiate(
      (name) => {
        const module = this.init.modules.get(name)
        if (module === undefined) throw new Error(`no core module ${name}`)
        return module
      },
      imports,
      (module, coreImports) => {
        const spec = this.#hosted.get(module)
        if (spec === undefined) return new WebAssembly.Instance(module, coreImports)
        const shelved = this.#shelf.take(spec)
        memories.push(shelved)
        const memory = { [memoryImport.name]: shelved.memory }
        return new WebAssembly.Instance(module, { ...coreImports, [memoryImport.module]: memory })
      },
      (fn) => {
        const entry = new GuestEntry(fn)
        entries.push(entry)
        return entry.function
      },
      this.#take,
    )
    return { wasi, exports, memories, entries }
  }

  #destroy(instance: CellInstance): void {
    const { settled, memories } = instance
    this.#vitals.add('held', -instance.wasi.openCount)
    instance.end(discarded)
    if (settled) for (const memory of memories) this.#shelf.give(memory)
    this.#instances.leave(instance)
    this.#vitals.add('instances', -1)
  }

  /** The guest itself failed. */
  #blame(error: unknown): void {
    this.#vitals.add(hasTooManyHandles(error) ? 'handleLimits' : 'traps', 1)
    this.#onTrap(describe(error))
  }

  #fail(exchange: ServedExchange, thrown: unknown, trapped: boolean): void {
    const reason = describe(thrown)
    const kind = kindOfFailure(thrown)
    if (thrown instanceof CpuLimitError) {
      this.#vitals.add('cpuRefusals', 1)
      exchange.fail(503, 'ERR_COMPONENT_CPU_LIMIT', reason)
    } else if (kind === 'busy') exchange.fail(503, 'ERR_COMPONENT_BUSY', reason)
    else if (kind === 'deadline') exchange.fail(504, 'ERR_COMPONENT_DEADLINE', reason)
    else {
      if (trapped && isTrap(thrown)) this.#blame(thrown)
      if (hasTooManyHandles(thrown)) exchange.fail(500, handleLimitCode, reason)
      else exchange.fail(500, 'ERR_COMPONENT_TRAP', 'the component failed to answer')
    }
  }
}

/** For logs: one line, bounded. Guest-controlled text. */
export function describe(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return text.replace(/\s+/g, ' ').slice(0, 300)
}

export function toWireError(error: unknown, code: string): WireError {
  const known = (error as { code?: unknown } | null)?.code
  return { code: typeof known === 'string' ? known : code, message: describe(error) }
}
