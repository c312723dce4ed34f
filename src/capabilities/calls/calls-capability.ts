import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import { auditedComponent } from '../../identity/audit.ts'
import type { JwtVerifier } from '../../identity/jwt-verifier.ts'
import type { ComponentIdentity, SvidSource } from '../../identity/svid-source.ts'
import type { Lattice } from '../../lattice/lattice.ts'
import type { Log } from '../../observability/log.ts'
import type { Tracer } from '../../observability/tracer.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import { fingerprintOf } from '../../wit/fingerprint.ts'
import type { Capability, ListedInterface } from '../capability.ts'
import { componentAttributes } from '../component-attributes.ts'
import { GatheredBindings } from '../gathered-bindings.ts'
import { CallKey } from './call-key.ts'
import type { CalledInterface } from './call-messages.ts'
import { CalleeReplicas } from './callee-replicas.ts'
import { auditCallsToLog, type CallsAuditSink, CallTally } from './calls-audit.ts'
import { CallsBinding } from './calls-binding.ts'
import { parseCallsEntry } from './calls-config.ts'
import { IncomingCalls, type OfferedInterface } from './incoming-calls.ts'
import { type CallTarget, OutgoingCalls } from './outgoing-calls.ts'

export type CallsCapabilityOptions = {
  /** Stays with its owner. */
  readonly svids: Pick<SvidSource, 'open'>
  readonly verifier: JwtVerifier
  /** Default: none, and every workload that calls elsewhere, or is called from there, is refused. */
  readonly lattice?: (() => Lattice) | undefined
  readonly clock: Clock
  readonly log: Log
  /** Default: the log. */
  readonly audit?: CallsAuditSink
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
  /** 0 ≤ x < 1; spreads retries. Default: Math.random. */
  readonly random?: () => number
}

/** How long calls are counted before they are told, ms. */
const gatherMs = 5_000

/** Calls between components of different workloads, on one host or several: over NATS, each side with its JWT-SVID. */
export function createCallsCapability(options: CallsCapabilityOptions): Capability {
  const { svids, verifier, clock, tracer, random = Math.random } = options
  const { audit = auditCallsToLog(options.log) } = options
  const key = new CallKey()
  const open = new GatheredBindings<CallsBinding>({ clock, gatherMs })
  return {
    name: 'calls',
    interfaces: [],
    waits: [],
    servesListed: true,
    async start() {
      open.start()
    },
    async configure(component, _entries, { signal, listed = { imports: [], exports: [] } }) {
      using stack = new DisposableStack()
      const lattice = options.lattice?.()
      if (lattice === undefined) {
        const [{ name } = { name: '' }] = [...listed.imports, ...listed.exports]
        throw new HeraldError('ERR_CAPABILITY_CONFIG', `calls of ${name} go over NATS, and this host has none`, {
          hint: 'start it with --nats, or put both components into one workload',
        })
      }
      const { namespace, workloadName, componentName } = component
      const log = options.log.child({ namespace, workload: workloadName, component: componentName })
      const identities = new Map<string, ComponentIdentity>()
      const identityOf = (spiffeId: ReturnType<typeof parseCallsEntry>['spiffeId']): ComponentIdentity => {
        const known = identities.get(spiffeId ?? '')
        if (known !== undefined) return known
        const identity = svids.open(component, { spiffeId })
        stack.defer(() => identity.release())
        identities.set(spiffeId ?? '', identity)
        return identity
      }

      const targets = listed.imports.map((each): CallTarget => {
        const { callee, spiffeId, timeoutMs, maxInFlight } = parseCallsEntry(each.entry)
        const identity = identityOf(spiffeId)
        const replicas = new CalleeReplicas({ callee: callee!, key, verifier, identity, lattice, clock, log })
        stack.defer(() => replicas.close())
        return { ...calledOf(each), callee: callee!, identity, replicas, timeoutMs, maxInFlight }
      })
      const offered: OfferedInterface[] = []
      let self: { readonly spiffeId: SpiffeId; readonly identity: ComponentIdentity } | undefined
      for (const each of listed.exports) {
        const { callers, spiffeId, timeoutMs, maxInFlight } = parseCallsEntry(each.entry)
        offered.push({ ...calledOf(each), callers, timeoutMs, maxInFlight })
        // The address is what the authority says, not what the manifest does: nobody takes another's calls.
        const identity = identityOf(spiffeId)
        const { svid } = await identity.fetchJwtSvid([key.audience], { signal })
        const own = svid.spiffeId
        if (self !== undefined && self.spiffeId !== own) {
          throw new HeraldError(
            'ERR_CAPABILITY_CONFIG',
            `component ${componentName} would be called by two SPIFFE IDs`,
            {
              hint: 'give its entries the same spiffe-id',
            },
          )
        }
        self = { spiffeId: own, identity }
      }
      const tally = new CallTally(auditedComponent(component), audit)
      const about = componentAttributes(component)
      const owned = stack.move()
      const binding = new CallsBinding({
        config: { imports: listed.imports.map(calledOf), exports: listed.exports.map(calledOf) },
        tally,
        outgoing: new OutgoingCalls({ targets, key, lattice, clock, log, tally, random, tracer, about }),
        openIncoming: (cell) => {
          if (self === undefined) return undefined
          const { spiffeId, identity } = self
          const shared = { key, verifier, lattice, clock, log, tally, tracer, about }
          return new IncomingCalls({ self: spiffeId, identity, offered, ...shared, ...cell })
        },
        onRelease: () => {
          open.delete(binding)
          owned.dispose()
        },
      })
      return open.add(binding)
    },
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}

function calledOf({
  name,
  label,
  functions,
}: ListedInterface): CalledInterface & { readonly fingerprints: readonly string[] } {
  return { name, ...(label !== undefined && { label }), functions, fingerprints: functions.map(fingerprintOf) }
}
