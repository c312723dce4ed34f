import type { Clock } from '../clock/clock.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'
import type { UsableSvid } from './svid-slot.ts'
import type { ComponentIdentity } from './svid-source.ts'

/** The SVIDs that somebody shows whenever a connection is made: fetched before the first time, renewed, and from memory at each later one. */
export interface ShownSvids {
  /** A verified SVID, from then on renewed. @throws like `ComponentIdentity.fetchJwtSvid` */
  fetchJwtSvid(audience: string, options: { signal: AbortSignal }): Promise<JwtSvid>
  /** The same from memory; `undefined` when none was fetched or none is valid. */
  heldJwtSvid(audience: string): JwtSvid | undefined
  /** @throws like `ComponentIdentity.fetchX509Svid` */
  fetchX509Svid(options: { signal: AbortSignal }): Promise<X509Svid>
  /** The same from memory. */
  heldX509Svid(): X509Svid | undefined
  /**
   * Called when a JWT-SVID that was held is one no more, since the authority takes it back; and where none was ever fetched, when the
   * X.509-SVID is.
   */
  onRevoked(listener: () => void): void
}

export function shownSvids(
  identity: Pick<ComponentIdentity, 'fetchJwtSvid' | 'fetchX509Svid' | 'heldX509Svid' | 'onX509Change' | 'onChange'>,
  clock: Clock,
): ShownSvids {
  const held = new Map<string, UsableSvid>()
  const listeners: (() => void)[] = []
  let showsJwt = false
  identity.onChange((change) => {
    const [audience] = change.audiences
    if (audience === undefined) return
    if (change.kind === 'renewed') held.set(audience, change)
    else if (held.delete(audience) && change.reason !== 'capacity') for (const listener of listeners) listener()
  })
  let hadX509 = false
  identity.onX509Change((now) => {
    const lost = hadX509 && now === undefined
    hadX509 = now !== undefined
    if (lost && !showsJwt) for (const listener of listeners) listener()
  })
  return {
    async fetchJwtSvid(audience, options) {
      const usable = await identity.fetchJwtSvid([audience], options)
      showsJwt = true
      held.set(audience, usable)
      return usable.svid
    },
    heldJwtSvid(audience) {
      const usable = held.get(audience)
      return usable !== undefined && clock.nowMs() < usable.usableUntilMs ? usable.svid : undefined
    },
    fetchX509Svid: (options) => identity.fetchX509Svid(options),
    heldX509Svid: () => identity.heldX509Svid(),
    onRevoked: (listener) => void listeners.push(listener),
  }
}
