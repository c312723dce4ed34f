import type { MessagePort } from 'node:worker_threads'
import type { FinishedSpan } from '../observability/span.ts'
import type { TraceSampling } from '../observability/tracer.ts'
import type { IngressReading } from './request-meter.ts'

export type IngressThreadOptions = {
  readonly host: string
  readonly port: number
  readonly reusePort: boolean
  readonly maxHeaderBytes: number
  readonly keepAliveTimeoutMs: number
  readonly maxConnections: number
  /** Whether each request is timed. */
  readonly timed: boolean
  /** Whether spans are made of requests, and of which. */
  readonly sampling: TraceSampling | undefined
}

/** Control thread → ingress thread. */
export type ToIngressThread =
  | { readonly kind: 'route'; readonly id: number; readonly hosts: readonly string[] | '*'; readonly gate: MessagePort }
  | { readonly kind: 'unroute'; readonly id: number }
  | { readonly kind: 'ready'; readonly ready: boolean }
  | { readonly kind: 'measure'; readonly id: number }
  | { readonly kind: 'close'; readonly drainTimeoutMs: number }

/** Ingress thread → control thread. */
export type FromIngressThread =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'measured'; readonly id: number; readonly reading: IngressReading }
  | { readonly kind: 'spans'; readonly spans: readonly FinishedSpan[] }
  | { readonly kind: 'closed' }
