import type { AuditFeed } from '../control/herald-audit-feed.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { Log } from '../observability/log.ts'
import { createReadiness } from '../observability/readiness.ts'
import type { AuditTrail } from './audit-trail.ts'
import { countAuditEvent } from './count-audit-event.ts'
import type { ListenAddress } from './option-values.ts'
import type { OtlpSettings } from './otlp-settings.ts'
import { measureLattice, openProcessOperations } from './process-operations.ts'
import { heraldVersion } from './version-command.ts'

/** Probes and metrics of one callout service. */
export interface CalloutOperations extends AsyncDisposable {
  readonly url: string | undefined
  watch(parts: { lattice: Lattice; trail: AuditTrail; feed: AuditFeed }): void
  /** SPIRE knows this service, so that it has the bundles to verify SVIDs with. */
  identified(): void
}

export type CalloutOperationsOptions = {
  readonly address: ListenAddress | undefined
  readonly otlp: OtlpSettings | undefined
  readonly onLogLine: (listener: (line: string) => void) => () => void
  readonly id: string
  readonly log: Log
  /** Not ready from the moment it aborts. */
  readonly signal: AbortSignal
}

/** How long a collector may take what is left at the end. */
const longestFlushMs = 2_000

/**
 * Live as long as the process answers; ready while NATS is connected, once SPIRE has said who this is.
 * @throws ERR_HEALTH_LISTEN
 */
export async function openCalloutOperations(options: CalloutOperationsOptions): Promise<CalloutOperations> {
  const { address, otlp, onLogLine, id, log, signal } = options
  const readiness = createReadiness()
  const identified = readiness.require('spire', 'it has not said who this service is')
  let lattice: Lattice | undefined
  signal.addEventListener('abort', () => readiness.end('the service is ending'), { once: true })
  const operations = await openProcessOperations({
    ...{ serviceName: 'herald-nats-callout', version: heraldVersion(), instanceId: id },
    ...{ address, otlp, onLogLine, log },
    failures: async () => [],
    unready: () =>
      lattice?.state.kind === 'connected'
        ? readiness.reasons()
        : [...readiness.reasons(), 'nats: it is not connected, so that nobody is let in here'],
    closeWithinMs: () => longestFlushMs,
  })
  const { url, metrics } = operations
  return {
    url,
    watch(parts) {
      lattice = parts.lattice
      measureLattice(lattice, metrics, () => {})
      parts.trail.onEvent((event) => countAuditEvent(event, metrics))
      metrics.addSource(() => [
        { name: 'herald.audit.published', value: parts.feed.counts.published },
        { name: 'herald.audit.dropped', value: parts.feed.counts.dropped },
      ])
    },
    identified,
    [Symbol.asyncDispose]: () => operations[Symbol.asyncDispose](),
  }
}
