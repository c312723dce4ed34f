import type { MessagePort } from 'node:worker_threads'
import type { ErrorCode } from '../errors/error-codes.ts'
import type { DurationPoint } from '../observability/duration-series.ts'
import type { FinishedSpan } from '../observability/span.ts'
import type { CarriedTrace } from '../observability/trace-context.ts'
import type { TraceSampling } from '../observability/tracer.ts'
import type { HostedMemory } from './core-module.ts'
import type { ComponentLink, ComponentSpec, ExportCall, ExportResult, HttpListenOptions } from './engine.ts'
import type { EgressRefusal } from './refusal-report.ts'

/** What the engine (control thread) and a cell's thread say to each other, on the worker's own port. */
export type ToCellMain =
  | { readonly kind: 'init'; readonly cell: CellInit }
  | { readonly kind: 'lane'; readonly component: string; readonly port: MessagePort }
  | { readonly kind: 'listen'; readonly id: number; readonly component: string; readonly options: HttpListenOptions }
  | { readonly kind: 'run'; readonly id: number; readonly component: string }
  | { readonly kind: 'call'; readonly id: number; readonly component: string; readonly call: ExportCall }
  /** Of a call too. */
  | { readonly kind: 'abort-run'; readonly id: number }
  | { readonly kind: 'capability-answer'; readonly id: number; readonly value?: unknown; readonly error?: WireError }
  | {
      readonly kind: 'capability-message'
      readonly component: string
      readonly binding: number
      readonly message: unknown
    }
  /** Take no new calls. `lanes`: of ingress threads too; false once they have all said that they send none. */
  | { readonly kind: 'drain'; readonly lanes: boolean }

export type FromCellMain =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly error: WireError }
  | { readonly kind: 'output'; readonly component: string; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | { readonly kind: 'trap'; readonly component: string; readonly reason: string }
  | ({ readonly kind: 'egress-refused'; readonly component: string } & EgressRefusal)
  /** Outgoing requests that nobody signs, by the host that they went to, since the last time. */
  | {
      readonly kind: 'sent'
      readonly component: string
      readonly hosts: readonly (readonly [host: string, count: number])[]
    }
  /** Of its listeners, since the last time. */
  | { readonly kind: 'requests'; readonly points: readonly DurationPoint[] }
  /** All connections of its listeners have ended. */
  | { readonly kind: 'drained' }
  | { readonly kind: 'listening'; readonly id: number; readonly port?: number; readonly error?: WireError }
  | { readonly kind: 'run-ended'; readonly id: number; readonly exitCode?: number; readonly error?: WireError }
  | { readonly kind: 'call-ended'; readonly id: number; readonly result?: ExportResult; readonly error?: WireError }
  | {
      readonly kind: 'capability-request'
      readonly id: number
      readonly component: string
      readonly binding: number
      readonly method: string
      readonly payload: unknown
      readonly trace?: CarriedTrace
    }
  | { readonly kind: 'capability-abort'; readonly id: number }
  /** Wants no answer. */
  | {
      readonly kind: 'capability-told'
      readonly component: string
      readonly binding: number
      readonly method: string
      readonly payload: unknown
    }
  | { readonly kind: 'spans'; readonly spans: readonly FinishedSpan[] }

/** An error across threads: code and message only. */
export type WireError = {
  readonly code: ErrorCode | string
  readonly message: string
  readonly hint?: string | undefined
}

export type CellInit = {
  readonly name: string
  readonly deniedAddresses: readonly string[]
  readonly vitals: SharedArrayBuffer
  /** Whether spans are made, and of which traces that begin here. */
  readonly tracing: TraceSampling | undefined
  /** Whether requests of its listeners are timed. */
  readonly timed: boolean
  /** See `CellSpec`. */
  readonly cpuLimitMillicores?: number | undefined
  readonly components: readonly CellComponentInit[]
}

export type CellComponentInit = Omit<
  ComponentSpec,
  'bytes' | 'bindings' | 'capabilityInterfaces' | 'capabilityWaits' | 'links'
> & {
  readonly links: readonly ComponentLink[]
  readonly script: string
  readonly modules: ReadonlyMap<string, WebAssembly.Module>
  /** For a process of its own, on its way there: what `modules` are compiled from. */
  readonly cores?: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
  readonly memories: ReadonlyMap<string, HostedMemory>
  readonly bindings: readonly { readonly cellModule: string; readonly config: unknown }[]
  /** Names of the exports as the component has them, with version. */
  readonly handlerExport: string | undefined
  readonly runExport: string | undefined
  /** All exported interfaces, with version. */
  readonly exportNames: readonly string[]
}
