import type { ImageReference } from '../manifest/image-reference.ts'
import type { Workload } from '../manifest/workload.ts'
import type { OciCredentials } from '../oci/oci-credentials.ts'

/** What the control room needs of a host, and all it needs. The command fits the real one to it. */
export interface ControlledHost {
  /** Resolves once the workload serves. @throws HeraldError with the reason it does not, or the signal's reason */
  start(request: WorkloadStart, options: { signal: AbortSignal }): Promise<void>
  /** `undefined` for an id the host does not know. */
  status(workloadId: string): WorkloadReport | undefined
  /** Ends a workload and forgets it; resolves when it is gone, at once when it is not known. */
  stop(workloadId: string): Promise<void>
  /** Cheap and synchronous: a heartbeat never waits. */
  summary(): HostSummary
}

export type WorkloadStart = {
  readonly workloadId: string
  readonly workload: Workload
  /** Of the images' own imagePullSecrets. */
  readonly credentials: ReadonlyMap<ImageReference, OciCredentials>
}

export type WorkloadReport = {
  readonly state: 'starting' | 'running' | 'completed' | 'stopping' | 'error'
  /** For a person; empty when there is nothing to say. */
  readonly message: string
}

export type HostSummary = {
  readonly workloadCount: number
  readonly componentCount: number
  /** What components may import from this host: `wasi:http/outgoing-handler@0.2.3`. */
  readonly imports: readonly string[]
  /** What this host calls in components: `wasi:http/incoming-handler@0.2.3`. */
  readonly exports: readonly string[]
  /** Port of the HTTP ingress; 0 when there is none. */
  readonly httpPort: number
}
