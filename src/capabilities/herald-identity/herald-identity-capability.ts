import type { Clock } from '../../clock/clock.ts'
import type { JwtVerifier } from '../../identity/jwt-verifier.ts'
import type { SvidSource } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { Capability } from '../capability.ts'
import { GatheredBindings } from '../gathered-bindings.ts'
import { auditHeraldIdentityToLog, type HeraldIdentityAuditSink } from './herald-identity-audit.ts'
import { HeraldIdentityBinding } from './herald-identity-binding.ts'
import { heraldIdentityVersion, parseHeraldIdentityConfig } from './herald-identity-config.ts'

export type HeraldIdentityCapabilityOptions = {
  /** Stays with its owner. */
  readonly svids: Pick<SvidSource, 'open'>
  readonly verifier: JwtVerifier
  readonly clock: Clock
  readonly log: Log
  /** Default: the log. */
  readonly audit?: HeraldIdentityAuditSink
  /** How often uses are gathered into one audit event, ms. Default: 10 s. */
  readonly gatherMs?: number
}

/** `herald:identity`: who the component is, who calls it, and signatures with its X.509-SVID. */
export function createHeraldIdentityCapability(options: HeraldIdentityCapabilityOptions): Capability {
  const { svids, verifier, clock, log, audit = auditHeraldIdentityToLog(log), gatherMs = 10_000 } = options
  const open = new GatheredBindings<HeraldIdentityBinding>({ clock, gatherMs })
  return {
    name: 'herald-identity',
    interfaces: ['component', 'verifier', 'x509', 'caller'].map(
      (name) => `herald:identity/${name}@${heraldIdentityVersion}`,
    ),
    waits: [
      'herald:identity/component#subject',
      'herald:identity/verifier#verify',
      'herald:identity/x509#current',
      'herald:identity/x509#sign',
    ],
    async start() {
      open.start()
    },
    async configure(component, entries) {
      const { spiffeId } = parseHeraldIdentityConfig(entries)
      const identity = svids.open(component, { spiffeId })
      const onRelease = (): void => void open.delete(binding)
      const binding = new HeraldIdentityBinding({ component, identity, verifier, audit, log, onRelease })
      return open.add(binding)
    },
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}
