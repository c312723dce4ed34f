import type { InstanceContext, InstanceStreams } from '../capabilities/capability.ts'
import type { CarriedTrace, TraceSource } from '../observability/trace-context.ts'
import type { HttpExchange } from './http-exchange.ts'

/** What one component's WASI may show and reach; from its manifest. */
export type WasiOptions = {
  readonly environment: Readonly<Record<string, string>>
  readonly args: readonly string[]
  readonly allowedHosts: readonly string[]
  readonly allowedIpNameLookups: readonly string[]
  readonly allowedHostLoopbackPorts: readonly string[]
  readonly deniedAddresses: readonly string[]
  readonly preopens: readonly { readonly hostPath: string; readonly guestPath: string; readonly readOnly: boolean }[]
  /** Largest request and largest response body, bytes, either direction. */
  readonly maxBodyBytes: number
  /** One call per line the guest wrote. */
  readonly onOutput: (stream: 'stdout' | 'stderr', text: string) => void
}

/** WASI 0.2 of one component in one cell; made once. */
export interface Wasi {
  /** @param context without a signal: the instance ends by {@link WasiInstance.end} alone */
  instance(context: Partial<InstanceContext>): WasiInstance
}

/** WASI 0.2 of one instance: cheap to make, and everything it opened is closed with it. */
export interface WasiInstance extends Disposable {
  /** Rejects whatever waits, and closes all that is open. Idempotent. */
  end(reason: Error): void
  /** Keyed by interface without version, as jco names them: `wasi:io/poll`. */
  readonly imports: Record<string, object>
  /** For capabilities whose interfaces give streams to the guest. */
  readonly streams: InstanceStreams
  /** Files, sockets and outgoing requests that are open. */
  readonly openCount: number
  /** Of the call in progress, or the last one; to be parsed. */
  readonly trace: CarriedTrace | undefined
  /** Says what a call that is no HTTP request belongs to; `undefined` when it has ended. */
  callWithin(source: TraceSource | undefined): void
  /** For one call of `wasi:http/incoming-handler#handle`. */
  startRequest(exchange: HttpExchange): RequestHandle
}

export interface RequestHandle {
  /** The two arguments of `handle`. */
  readonly request: object
  readonly responseOut: object
  /** Settles once the response has been sent whole (or the guest dropped it: rejects with the reason). */
  readonly finished: Promise<void>
  /**
   * To be called when `handle` has returned or thrown: an answer that was not given, or a body that was not finished, is given up then
   * (`finished` rejects, and the client of a response already begun sees it incomplete). Idempotent.
   */
  handlerReturned(): void
}

/** Thrown through the guest by `wasi:cli/exit`; ends the instance, never the process. */
export class GuestExit extends Error {
  override readonly name = 'GuestExit'
  readonly exitCode: number
  constructor(exitCode: number) {
    super(`the guest ended with exit code ${exitCode}`)
    this.exitCode = exitCode
  }
}
