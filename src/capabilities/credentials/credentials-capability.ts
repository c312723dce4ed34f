import type { Clock } from '../../clock/clock.ts'
import type { SvidSource } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { Tracer } from '../../observability/tracer.ts'
import type { Capability } from '../capability.ts'
import { GatheredBindings } from '../gathered-bindings.ts'
import { openIdentities } from '../open-identities.ts'
import { auditCredentialsToLog, type CredentialsAuditSink } from './credentials-audit.ts'
import { CredentialsBinding } from './credentials-binding.ts'
import { credentialsVersion, parseCredentialsConfig } from './credentials-config.ts'

export type CredentialsCapabilityOptions = {
  /** Stays with its owner. What it evicts takes the credentials obtained with it along. */
  readonly svids: Pick<SvidSource, 'open'>
  readonly fetch: typeof globalThis.fetch
  /** Whether a binding may lead to this machine's own loopback, by plain http too. For development and tests. */
  readonly loopbackEndpoints: boolean
  readonly clock: Clock
  readonly log: Log
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
  /** Default: the log. */
  readonly audit?: CredentialsAuditSink
  /** How often deliveries from the cells' memory are gathered into one audit event, ms. Default: 10 s. */
  readonly gatherMs?: number
}

/** `herald:credentials/store`: one binding per `hostInterfaces` entry, nothing without one. */
export function createCredentialsCapability(options: CredentialsCapabilityOptions): Capability {
  const {
    svids,
    fetch,
    loopbackEndpoints,
    clock,
    log,
    tracer,
    audit = auditCredentialsToLog(log),
    gatherMs = 10_000,
  } = options
  const open = new GatheredBindings<CredentialsBinding>({ clock, gatherMs })
  return {
    name: 'credentials',
    interfaces: [`herald:credentials/store@${credentialsVersion}`],
    waits: ['herald:credentials/store#get'],
    async start() {
      open.start()
    },
    async configure(component, entries) {
      const bindings = parseCredentialsConfig(entries, { loopbackEndpoints })
      const identities = openIdentities(svids, component, bindings)
      const binding = new CredentialsBinding({
        component,
        bindings,
        identities,
        fetch,
        clock,
        log,
        tracer,
        audit,
        onRelease: () => open.delete(binding),
      })
      return open.add(binding)
    },
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}
