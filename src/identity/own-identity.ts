import type { Clock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'
import { ComponentSvids } from './component-svids.ts'
import { RenewalSchedule } from './renewal-schedule.ts'
import type { SvidAuthority } from './svid-authority.ts'
import type { UsableSvid } from './svid-slot.ts'
import { defaultSvidTuning, type SvidTuning } from './svid-tuning.ts'

/** The identity of this very process: kept, renewed, verified, and dropped when its entry is gone. Disposal forgets all. */
export interface OwnIdentity extends Disposable {
  /** A verified SVID, from then on renewed. @throws ERR_SPIRE_… · ERR_SVID_… · ERR_JWT_… */
  fetchJwtSvid(audience: string, options: { signal: AbortSignal }): Promise<JwtSvid>
  /** The same from memory; `undefined` when none was fetched or none is valid. */
  heldJwtSvid(audience: string): JwtSvid | undefined
  /** @throws ERR_SPIRE_… · ERR_SVID_… · ERR_X509_SVID_UNAVAILABLE */
  fetchX509Svid(options: { signal: AbortSignal }): Promise<X509Svid>
  /** The same from memory. */
  heldX509Svid(): X509Svid | undefined
}

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
  const held = new Map<string, UsableSvid>()
  svids.onChange((change) => {
    const [audience] = change.audiences
    if (audience === undefined) return
    if (change.kind === 'evicted') held.delete(audience)
    else held.set(audience, change)
  })
  return {
    async fetchJwtSvid(audience, { signal }) {
      const usable = await svids.get([audience], signal).catch(aboutThisProcess)
      held.set(audience, usable)
      return usable.svid
    },
    heldJwtSvid(audience) {
      const usable = held.get(audience)
      return usable !== undefined && clock.nowMs() < usable.usableUntilMs ? usable.svid : undefined
    },
    fetchX509Svid: ({ signal }) => svids.x509.svid(signal).catch(aboutThisProcess),
    heldX509Svid: () => svids.x509.held(),
    [Symbol.dispose]() {
      svids.close()
      held.clear()
    },
  }
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
