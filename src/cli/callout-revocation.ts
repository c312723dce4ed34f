import type { NatsAuditSink } from '../callout/callout-audit.ts'
import { endSessions } from '../callout/end-sessions.ts'
import { systemClock as clock } from '../clock/clock.ts'
import { isHeraldError } from '../errors/herald-error.ts'
import { watchRegisteredIds } from '../identity/spire/registered-ids.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { Log } from '../observability/log.ts'
import { type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** What the deletion of an entry does to its connections. Disposal leaves them as they are. */
export interface CalloutRevocation extends AsyncDisposable {
  /** See `AuthorizeOptions`. */
  isRegistered(spiffeId: SpiffeId): Promise<boolean>
}

/** After a change, the next look: for who was being let in meanwhile, ms. */
const secondLookMs = 2_000
/** Connections are held against the entries at least so often, ms. */
const lookMs = 60_000

export function openCalloutRevocation({
  socketPath,
  trustDomain,
  system,
  audit,
  log,
}: {
  /** Of the SPIRE server. */
  readonly socketPath: string
  /** Of this service; entries say nothing of others. Absent as long as it is not known: then nobody is revoked. */
  readonly trustDomain: () => TrustDomain | undefined
  /** In the system account of NATS. Becomes this one's. */
  readonly system: Lattice
  readonly audit: NatsAuditSink
  readonly log: Log
}): CalloutRevocation {
  const registered = watchRegisteredIds({ socketPath, clock, log })
  const lifetime = new AbortController()
  const concerns = (spiffeId: SpiffeId): boolean => trustDomainOf(spiffeId) === trustDomain()
  const isGone = (spiffeId: SpiffeId): boolean => concerns(spiffeId) && registered.has(spiffeId) === false
  let looking = Promise.resolve()

  /** One after the other. */
  function look(): Promise<void> {
    looking = looking.then(async () => {
      if (lifetime.signal.aborted || system.state.kind !== 'connected') return
      await endSessions({ system, isGone, audit, log }).catch((error: unknown) => {
        if (lifetime.signal.aborted) return
        const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
        log.error({ event: 'callout.connections-unknown', code, err: error }, 'connections cannot be looked through')
      })
    })
    return looking
  }

  registered.onGone(() => {
    void look()
    clock.sleep(secondLookMs, { signal: lifetime.signal }).then(look, () => {})
  })
  system.onStateChange(({ kind }) => kind === 'connected' && void look())
  const timer = setInterval(() => void look(), lookMs)
  return {
    async isRegistered(spiffeId) {
      if (!concerns(spiffeId) || registered.has(spiffeId) !== false) return true
      // An entry may be younger than the last answer.
      await registered.refresh()
      return registered.has(spiffeId) !== false
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      lifetime.abort()
      await registered[Symbol.asyncDispose]()
      await system[Symbol.asyncDispose]()
      await looking
    },
  }
}
