import type { CellIsolation, CellMetrics, CellState } from '../engine/engine.ts'
import type { HeraldError } from '../errors/herald-error.ts'
import type { ComponentFacts } from '../identity/component-facts.ts'

/** Where a workload on this host stands. `stopped`, `completed` and `failed` are final. */
export type WorkloadState =
  | { readonly kind: 'starting'; readonly since: Date }
  /** At least one of its cells serves, or is being restarted. */
  | { readonly kind: 'running'; readonly since: Date }
  /** All it had to do was to run to completion, and it did, with exit code 0. */
  | { readonly kind: 'completed'; readonly at: Date }
  | { readonly kind: 'stopping'; readonly since: Date }
  | { readonly kind: 'stopped'; readonly at: Date }
  | { readonly kind: 'failed'; readonly at: Date; readonly error: HeraldError }

export type FinalState = Extract<WorkloadState, { kind: 'completed' | 'stopped' | 'failed' }>

export function isFinal(state: WorkloadState): state is FinalState {
  switch (state.kind) {
    case 'completed':
    case 'stopped':
    case 'failed':
      return true
    case 'starting':
    case 'running':
    case 'stopping':
      return false
  }
}

/** How one component of a workload is reached. */
export type ComponentStatus = {
  readonly name: string
  readonly image: string
  /** `sha256:<hex>` of the bytes the host read. */
  readonly imageDigest: string
  /** What its selectors are made of. */
  readonly facts: ComponentFacts
  /** It may ask tokens for these; none = it has no identity. */
  readonly audiences: readonly string[]
  readonly serves: readonly ComponentService[]
}

export type ComponentService =
  /** `hosts`: the names it answers to. */
  | { readonly kind: 'http'; readonly hosts: readonly string[] | 'any' }
  /** It listens itself: `http://127.0.0.1:9000`, whatever the Host header says. */
  | { readonly kind: 'listen'; readonly url: string }
  /** Runs once, to completion. */
  | { readonly kind: 'run' }
  /** Capabilities call it: messages, for one. */
  | { readonly kind: 'handler' }
  /** Other components call it. */
  | { readonly kind: 'callee' }
  /** Runs as long as the workload does. */
  | { readonly kind: 'service' }

export type WorkloadStatus = {
  readonly id: string
  readonly namespace: string
  readonly name: string
  readonly state: WorkloadState
  /** Empty until the components have been read. */
  readonly components: readonly ComponentStatus[]
  /** What its cells are. */
  readonly isolation: CellIsolation
  /** One for each replica. */
  readonly cells: readonly CellState[]
  /** Of the same replicas, since each was started. */
  readonly metrics: readonly CellMetrics[]
  /** Exit codes of `wasi:cli/run` components that have ended, by component; the last one of a service. */
  readonly exitCodes: Readonly<Record<string, number>>
}
