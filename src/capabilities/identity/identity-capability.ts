import type { Clock } from '../../clock/clock.ts'
import { type AuditSink, auditToLog } from '../../identity/audit.ts'
import type { SvidSource } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { Tracer } from '../../observability/tracer.ts'
import type { Capability } from '../capability.ts'
import { GatheredBindings } from '../gathered-bindings.ts'
import { IdentityBinding } from './identity-binding.ts'
import { parseIdentityConfig } from './identity-config.ts'

export type IdentityCapabilityOptions = {
  /** Stays with its owner. */
  readonly svids: SvidSource
  /** Default: the log. */
  readonly audit?: AuditSink
  readonly log: Log
  readonly clock: Clock
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
  /** How often deliveries from the cells' memory are gathered into one audit event, ms. Default: 10 s. */
  readonly gatherMs?: number
}

/** `wasmcloud:identity/store@0.0.1`: deny by default, by the audiences of the workload's hostInterfaces entry. */
export function createIdentityCapability(options: IdentityCapabilityOptions): Capability {
  const { svids, log, clock, tracer, audit = auditToLog(log), gatherMs = 10_000 } = options
  const open = new GatheredBindings<IdentityBinding>({ clock, gatherMs })
  return {
    name: 'identity',
    interfaces: ['wasmcloud:identity/store@0.0.1'],
    waits: ['wasmcloud:identity/store#get'],
    async start() {
      open.start()
    },
    async configure(component, entries) {
      const config = parseIdentityConfig(component.componentName, entries)
      const identity = svids.open(component, { spiffeId: config.spiffeId })
      const binding = new IdentityBinding({
        component,
        config,
        identity,
        audit,
        log,
        tracer,
        onRelease: () => open.delete(binding),
      })
      return open.add(binding)
    },
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}
