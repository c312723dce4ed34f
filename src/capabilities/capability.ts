import type { ComponentFacts } from '../identity/component-facts.ts'
import type { HostInterface } from '../manifest/host-interface.ts'

/**
 * Something a guest may import beyond WASI. It has three moments: `start` once per host and `configure` at deploy, both on
 * the control thread, and `prepare` per instance, on the cell's thread. Secrets stay on the control thread: what a
 * cell holds is only what its own guest has been granted.
 */
export interface Capability {
  /** For logs and errors: `identity`. */
  readonly name: string
  /** WIT interfaces it serves, with version: `wasmcloud:identity/store@0.0.1`. */
  readonly interfaces: readonly string[]
  /**
   * Functions of those interfaces that may wait, in component-model naming, without version:
   * `wasmcloud:identity/store#get`, `ns:pkg/iface#[method]res.name`. The engine suspends the guest's stack in these and only these.
   */
  readonly waits: readonly string[]
  /**
   * Interfaces it calls on guests that export them, with version: `wasmcloud:messaging/handler@0.2.0`. A component that exports one is
   * configured like one that imports it, and needs neither `wasi:http` nor `wasi:cli/run`. Default: none.
   */
  readonly handles?: readonly string[]
  /** Once per host, before the first `configure`. */
  start(options: { signal: AbortSignal }): Promise<void>
  /**
   * At deploy, for each component that imports one of `interfaces`. `entries` are the workload's `hostInterfaces` entries of this
   * capability's WIT package; none means the workload did not ask for it.
   * @throws HeraldError when the configuration is refused, with the reason.
   */
  configure(
    component: ComponentFacts,
    entries: readonly HostInterface[],
    options: ConfigureOptions,
  ): Promise<CellBinding>
  [Symbol.asyncDispose](): Promise<void>
}

export type ConfigureOptions = {
  readonly signal: AbortSignal
  /** `localResources.config` of the component. Default: nothing. */
  readonly localConfig?: Readonly<Record<string, string>>
  /** Of `Capability.handles`, those that the component exports, without version. Default: none. */
  readonly exported?: readonly string[]
}

/** What connects one component in its cell to one capability on the control thread. */
export interface CellBinding {
  /** Module to load in the cell; exports `openCapability` (see {@link CellCapabilityModule}). */
  readonly cellModule: URL
  /** Passed to `openCapability`; must survive structured clone (a SharedArrayBuffer may be part of it). */
  readonly config: unknown
  /**
   * Answers one request of the cell's side. `payload` and result must survive structured clone. Everything in `payload` may be
   * under the guest's influence. A rejection reaches the cell as an Error with `code` and `message` only.
   */
  handle(method: string, payload: unknown, options: { signal: AbortSignal }): Promise<unknown>
  /** Called once with a function that sends a message to the cell (to every cell of the component). */
  attach(send: (message: unknown) => void): void
  /**
   * What its cell does: `serving` once it takes calls, also after each restart; `draining` when it is to take no new ones; `gone` when
   * its thread has ended, with every call that was under way.
   */
  onCell?(state: 'serving' | 'draining' | 'gone'): void
  /** The component is gone: forget what belongs to it. Idempotent. */
  release(): void
}

/** The cell's end of a {@link CellBinding}. */
export interface CellChannel {
  /** Asks the control thread. @throws Error with a `code`; the signal's reason when aborted. */
  request(method: string, payload: unknown, options: { signal: AbortSignal }): Promise<unknown>
  /** Messages sent through `attach`'s function. */
  onMessage(listener: (message: unknown) => void): void
  /**
   * Calls a function of the guest's exported interface `name` (without version), on an instance of its own for that long. Arguments and
   * result are as jco maps them. Waits for a free instance; the request timeout of the component bounds all of it.
   * @throws what the guest returned as `err`, as an Error with a `payload`; else an Error: the guest trapped, is busy, or took too long.
   * Every engine offers it; stand-ins for one may not.
   */
  callGuest?(name: string, fn: string, args: readonly unknown[]): Promise<unknown>
}

export interface CellCapabilityModule {
  /** Once per component and cell. */
  openCapability(config: unknown, channel: CellChannel): CellCapability
}

export interface CellCapability {
  /** Imports of one instance, keyed by interface without version: `{'wasmcloud:identity/store': { get(audience) {…} } }`, as jco names them. */
  prepare(instance: InstanceContext): Record<string, object>
}

export interface InstanceContext {
  /** Aborted when the instance is discarded: whatever waits must settle. */
  readonly signal: AbortSignal
}
