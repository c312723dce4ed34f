import type { Clock } from '../clock/clock.ts'
import type { ComponentFacts } from '../identity/component-facts.ts'
import { shownSvids } from '../identity/shown-svids.ts'
import type { SvidSource } from '../identity/svid-source.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { Log } from '../observability/log.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe/spiffe-id.ts'
import type { EntrySettings } from './entry-settings.ts'
import type { ConnectNats } from './lattice-source.ts'

/** As whom a component of an entry connects to NATS. */
export type OwnConnection = { readonly audience: string; readonly spiffeId: SpiffeId | undefined }

/** A connection that one component has to itself, with its own SVID. Disposal ends it. */
export type OwnLattice = AsyncDisposable & { readonly lattice: Lattice }
export type OpenOwnLattice = (component: ComponentFacts, as: OwnConnection) => OwnLattice

/** From the keys of an entry; without either, `undefined`: the host's connection is used. @throws ERR_CAPABILITY_CONFIG */
export function parseOwnConnection(
  settings: EntrySettings,
  keys: { readonly audience: string; readonly spiffeId: string },
): OwnConnection | undefined {
  const audience = settings.matching(keys.audience, /^[\x21-\x7e]{1,512}$/, 'at most 512 printable characters')
  const spiffeId = settings.text(keys.spiffeId)
  if (audience === undefined && spiffeId === undefined) return undefined
  try {
    return { audience: audience ?? 'nats', spiffeId: spiffeId === undefined ? undefined : parseSpiffeId(spiffeId) }
  } catch (error) {
    throw settings.refusal(`${keys.spiffeId} is no SPIFFE ID`, (error as Error).message)
  }
}

/** A revoked identity ends its connection at once: what it may do on NATS is worth as much as the SVID. */
export function ownLattices({
  svids,
  connect,
  clock,
  log,
}: {
  /** Stays with its owner. */
  readonly svids: Pick<SvidSource, 'open'>
  readonly connect: ConnectNats
  readonly clock: Clock
  readonly log: Log
}): OpenOwnLattice {
  return (component, { audience, spiffeId }) => {
    const { namespace, workloadName, componentName } = component
    const identity = svids.open(component, { spiffeId })
    const shown = shownSvids(identity, clock)
    const lattice = connect(`${namespace}/${workloadName}/${componentName}`, { identity: shown, audience })
    shown.onRevoked(() => {
      const about = { namespace, workload: workloadName, component: componentName, audience }
      log.warn({ event: 'audit.nats.revoked', ...about }, 'a workload lost its identity, and so its connection to NATS')
      lattice.renew()
    })
    return {
      lattice,
      async [Symbol.asyncDispose]() {
        await lattice[Symbol.asyncDispose]()
        identity.release()
      },
    }
  }
}
