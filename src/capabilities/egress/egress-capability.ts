import type { Clock } from '../../clock/clock.ts'
import type { SvidSource } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { Tracer } from '../../observability/tracer.ts'
import type { Capability } from '../capability.ts'
import { GatheredBindings } from '../gathered-bindings.ts'
import { openIdentities } from '../open-identities.ts'
import { CertificateTunnel, type CertificateTunnelOptions } from './certificate-tunnel.ts'
import { auditEgressToLog, type EgressAuditSink } from './egress-audit.ts'
import { EgressBinding } from './egress-binding.ts'
import { egressVersion, parseEgressConfig } from './egress-config.ts'

export type EgressCapabilityOptions = {
  /** Stays with its owner. What it evicts takes the credentials obtained with it along. */
  readonly svids: Pick<SvidSource, 'open'>
  /** For exchanges; the requests themselves are sent by the cell. */
  readonly fetch: typeof globalThis.fetch
  /** Certificates with which trust domains vouch for servers, for entries with `server-spiffe-id`. Default: none. */
  readonly x509BundleOf?: CertificateTunnelOptions['x509BundleOf']
  /** Whether credentials may be obtained at this machine's own loopback. For development and tests. */
  readonly loopbackEndpoints: boolean
  readonly clock: Clock
  readonly log: Log
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
  /** Default: the log. */
  readonly audit?: EgressAuditSink
  /** How often uses are gathered into one audit event, ms. Default: 10 s. */
  readonly gatherMs?: number
}

/**
 * `herald:egress/signing`: no guest imports it. For each `hostInterfaces` entry the host signs a component's outgoing requests to one
 * origin, which `allowedHosts` must allow as well.
 */
export function createEgressCapability(options: EgressCapabilityOptions): Capability {
  const {
    svids,
    fetch,
    loopbackEndpoints,
    x509BundleOf,
    clock,
    log,
    tracer,
    audit = auditEgressToLog(log),
    gatherMs = 10_000,
  } = options
  const open = new GatheredBindings<EgressBinding>({ clock, gatherMs })
  return {
    name: 'egress',
    interfaces: [`herald:egress/signing@${egressVersion}`],
    accompanies: ['wasi:http/outgoing-handler@0.2.0'],
    waits: [],
    async start() {
      open.start()
    },
    async configure(component, entries) {
      const signings = parseEgressConfig(entries, { loopbackEndpoints })
      await using undo = new AsyncDisposableStack()
      const identities = openIdentities(svids, component, signings)
      undo.defer(() => {
        for (const identity of identities) identity.release()
      })
      const tunnels = new Map<number, CertificateTunnel>()
      for (const [index, { signing }] of signings.entries()) {
        if ('binding' in signing) continue
        const onRevoked = (): void => binding.revoked(index)
        const options = { certificate: signing, identity: identities[index]!, x509BundleOf, clock, log, onRevoked }
        tunnels.set(index, undo.use(await CertificateTunnel.open(options)))
      }
      const onRelease = (): void => void open.delete(binding)
      const binding = new EgressBinding({
        ...{ component, signings, identities, tunnels, fetch, clock, log, tracer, audit, onRelease },
      })
      undo.move()
      return open.add(binding)
    },
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}
