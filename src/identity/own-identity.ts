import type { Clock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import { ComponentSvids } from './component-svids.ts'
import { RenewalSchedule } from './renewal-schedule.ts'
import { type ShownSvids, shownSvids } from './shown-svids.ts'
import type { SvidAuthority } from './svid-authority.ts'
import { defaultSvidTuning, type SvidTuning } from './svid-tuning.ts'

/** The identity of this very process: kept, renewed, verified, and dropped when its entry is gone. Disposal forgets all. */
export interface OwnIdentity extends ShownSvids, Disposable {}

export type OwnIdentityOptions = {
  /** Of this process: the Workload API's. Stays its owner's. */
  readonly authority: SvidAuthority
  /** The one to be, when several entries match this process. */
  readonly spiffeId?: SpiffeId | undefined
  readonly clock: Clock
  readonly log: Log
  readonly tuning?: Partial<SvidTuning>
}

export function createOwnIdentity({ authority, spiffeId, clock, log, ...options }: OwnIdentityOptions): OwnIdentity {
  const tuning = { ...defaultSvidTuning, ...options.tuning }
  const svids = new ComponentSvids({
    selectors: [],
    spiffeId,
    authority,
    clock,
    random: Math.random,
    tuning,
    schedule: new RenewalSchedule(Math.random),
    log,
    onUse: () => {},
    onForget: () => {},
  })
  const shown = shownSvids(
    {
      fetchJwtSvid: (audiences, { signal }) => svids.get(audiences, signal).catch(aboutThisProcess),
      fetchX509Svid: ({ signal }) => svids.x509.svid(signal).catch(aboutThisProcess),
      heldX509Svid: () => svids.x509.held(),
      onX509Change: (listener) => svids.x509.onChange(listener),
      onChange: (listener) => svids.onChange(listener),
    },
    clock,
  )
  return { ...shown, [Symbol.dispose]: () => svids.close() }
}

/** Says of the process what is said of a component elsewhere. */
function aboutThisProcess(error: unknown): never {
  if (isHeraldError(error, 'ERR_SVID_AMBIGUOUS') || isHeraldError(error, 'ERR_SVID_SPIFFE_ID_NOT_ISSUED')) {
    throw new HeraldError(error.code, error.message.replace('the component', 'this process'), {
      hint: 'choose with --own-spiffe-id, or narrow the selectors of the entries',
      cause: error,
    })
  }
  throw error
}
