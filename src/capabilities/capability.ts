import type { Duplex } from 'node:stream'
import type { ComponentFacts } from '../identity/component-facts.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import type { CarriedTrace, TraceSource } from '../observability/trace-context.ts'
import type { WitFunction } from '../wit/wit-type.ts'

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
  /**
   * Interfaces of WASI that it adds to, with version: `wasi:http/outgoing-handler@0.2.0`. A component that imports one is configured like
   * one that imports `interfaces` if its workload lists those; if not, it goes without. Default: none.
   */
  readonly accompanies?: readonly string[]
  /**
   * Serves interfaces that nobody knows beforehand, and calls such: see `ConfigureOptions.listed`. One capability of a host at most. All
   * functions of those that it serves may wait. Default: false.
   */
  readonly servesListed?: boolean
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
  /**
   * For `Capability.servesListed`: imports whose `hostInterfaces` entry names a `callee`, and exports whose entry names `callers`. Default:
   * none.
   */
  readonly listed?: ListedInterfaces
}

export type ListedInterfaces = {
  readonly imports: readonly ListedInterface[]
  readonly exports: readonly ListedInterface[]
}

/** `name` with version; all of its functions take and give values only. */
export type ListedInterface = {
  readonly name: string
  /** What the component calls it, if it imports it under a label of its own. */
  readonly label?: string
  readonly functions: readonly WitFunction[]
  readonly entry: HostInterface
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
  /**
   * Takes what the cell's side tells without waiting for an answer, and is done at once. As for {@link handle}, the guest may have a hand in all of
   * `payload`; what it throws is logged.
   */
  told?(method: string, payload: unknown): void
  /** Called once with a function that sends a message to the cell (to every cell of the component). */
  attach(send: (message: unknown) => void): void
  /**
   * What its cell does: `serving` once it takes calls, also after each restart; `draining` when it is to take no new ones; `gone` when
   * its thread has ended, with every call that was under way.
   */
  onCell?(state: 'serving' | 'draining' | 'gone'): void
  /** Directories that the component sees beside its volumes; there until {@link release}. Default: none. */
  readonly preopens?: readonly { readonly hostPath: string; readonly guestPath: string; readonly readOnly: boolean }[]
  /** Variables that the component sees, unless its manifest sets them itself. Default: none. */
  readonly environment?: Readonly<Record<string, string>>
  /** The component is gone: forget what belongs to it. Idempotent. */
  release(): void
}

/** The cell's end of a {@link CellBinding}. */
export interface CellChannel {
  /**
   * Asks the control thread. @param options `trace`: of the call that needs it; spans of what is done there belong to it
   * @throws Error with a `code`; the signal's reason when aborted.
   */
  request(
    method: string,
    payload: unknown,
    options: { signal: AbortSignal; readonly trace?: CarriedTrace | undefined },
  ): Promise<unknown>
  /**
   * Tells the control thread something that needs no answer: `CellBinding.told`. An answer would wake this thread for nothing, which is dearer than the
   * message. Every engine offers it; stand-ins for one may not.
   */
  tell?(method: string, payload: unknown): void
  /** Messages sent through `attach`'s function. */
  onMessage(listener: (message: unknown) => void): void
  /**
   * Calls a function of the guest's exported interface `name` (without version), on an instance of its own for that long. Arguments and
   * result are as jco maps them. Waits for a free instance; the request timeout of the component bounds all of it.
   * @throws what the guest returned as `err`, as an Error with a `payload`; else an Error: the guest trapped, is busy, or took too long.
   * Every engine offers it; stand-ins for one may not.
   */
  callGuest?(name: string, fn: string, args: readonly unknown[], options?: CallGuestOptions): Promise<unknown>
}

export type CallGuestOptions = {
  /** By `performance.now()`; the request timeout of the component holds beside it. */
  readonly deadlineMs?: number
  /** Ends the call and the instance it is in. */
  readonly signal?: AbortSignal
  /** Default: unknown. */
  readonly caller?: Caller
  /** What the call belongs to: asked only when something of the guest needs it. Default: to no trace. */
  readonly within?: TraceSource
}

/** Who called a component, as `herald:identity/caller` says it. */
export type Caller =
  /** HTTP, a message, the command: nobody whose identity the host has checked. */
  | { readonly tag: 'unknown' }
  /** A component of the same workload, by its name. */
  | { readonly tag: 'sibling'; readonly val: string }
  /** A component elsewhere, by the SPIFFE ID of its verified token. */
  | { readonly tag: 'component'; readonly val: string }

export interface CellCapabilityModule {
  /** Once per component and cell. */
  openCapability(config: unknown, channel: CellChannel): CellCapability
}

export interface CellCapability {
  /** Imports of one instance, keyed by interface without version: `{'wasmcloud:identity/store': { get(audience) {…} } }`, as jco names them. */
  prepare(instance: InstanceContext): Record<string, object>
  /** Signs outgoing requests of all instances. Default: they go out as they are. */
  readonly requestSigner?: RequestSigner
}

/**
 * Adds the fields that make an outgoing request acceptable to a relying party. Asked by the host's own code in the cell after it has taken
 * over what the guest wrote; no guest sees what is added.
 */
export interface RequestSigner {
  /** @param origin `https://api.example.com:443`, always with its port. @returns what applies to it; `undefined`: nothing is added */
  signingOf(origin: string): RequestSigning | undefined
}

export interface RequestSigning {
  /** `hashed`: the request is sent once its body is known whole, and the body's hash is part of what is signed. */
  readonly body: 'streamed' | 'hashed'
  /** Why a request with these fields of the guest must not be sent; `undefined` when it may. */
  refusalOf(request: { readonly path: string; readonly headers: HeaderPairs }): string | undefined
  /**
   * Makes the connections for these requests, encrypted for the origin by whoever makes them; default: they are made like any other's.
   * @param address where the host's name leads, as policy allows. @throws Error with a `code` as those of Node's sockets
   */
  readonly connect?: (address: string) => Promise<Duplex>
  /** @throws RequestSigningError */
  sign(
    request: RequestToSign,
    options: { signal: AbortSignal; readonly trace?: CarriedTrace | undefined },
  ): Promise<RequestSignature>
  /** The relying party answered 401 to a request signed with it: what comes next is to be signed with another, if there is one. */
  rejected(credentialId: string, options: { signal: AbortSignal }): Promise<void>
}

export type HeaderPairs = readonly (readonly [name: string, value: string])[]

export type RequestToSign = {
  readonly method: string
  /** Origin form, as it goes out. */
  readonly path: string
  readonly headers: HeaderPairs
  /** Lowercase hex; absent for a body that is streamed. */
  readonly bodySha256: string | undefined
}

export type RequestSignature = {
  readonly fields: HeaderPairs
  /** Tells credentials apart; useless as one. */
  readonly credentialId: string
}

/** `denied`: asking again does not help. The message is for the guest. */
export class RequestSigningError extends Error {
  override readonly name = 'RequestSigningError'
  readonly denied: boolean

  constructor(message: string, { denied, cause }: { readonly denied: boolean; readonly cause?: unknown }) {
    super(message, { cause })
    this.denied = denied
  }
}

/** Streams of `wasi:io/streams` that belong to one instance, for interfaces that give some to the guest. */
export interface InstanceStreams {
  /** An input-stream over bytes that are there already, or that come a piece at a time: one piece is read ahead of the guest. */
  input(source: Uint8Array | PulledBytes): object
  /**
   * An output-stream. What `write` throws the guest sees as the failure of its write; while its promise is open the guest cannot write more.
   * `close` is called once, when the guest drops it.
   */
  output(sink: { write(bytes: Uint8Array): Promise<void> | undefined; close(): void }): object
}

export interface PulledBytes {
  /** `undefined` at the end. What it throws the guest sees as the failure of its read. */
  read(): Promise<Uint8Array | undefined>
  /** The guest dropped the stream. */
  close(): void
}

export interface InstanceContext {
  /** Aborted when the instance is discarded: whatever waits must settle. */
  readonly signal: AbortSignal
  /** By when the call in progress is to be done, by `performance.now()`. Given by every engine, as all that follows. */
  readonly deadlineMs?: number
  /** Of the call in progress. */
  readonly caller?: Caller
  /** Of the call in progress: to be passed on, and parsed by whoever reads it. Worked out when asked. */
  readonly trace?: CarriedTrace | undefined
  /** Ends the call in progress, as a trap of the guest would, and the instance. */
  end?(reason: Error): void
  /** Given to capabilities by every engine; stand-ins for one may not. */
  readonly streams?: InstanceStreams
}
