import { join } from 'node:path'
import { createCallsCapability } from '../../src/capabilities/calls/calls-capability.ts'
import { createHeraldIdentityCapability } from '../../src/capabilities/herald-identity/herald-identity-capability.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { createJwtVerifier } from '../../src/identity/jwt-verifier.ts'
import type { SvidAuthority } from '../../src/identity/svid-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { connectLattice } from '../../src/lattice/connect-lattice.ts'
import { type CapabilityHouse, type HouseOptions, openCapabilityHouse } from '../capabilities/capability-house.ts'
import { guestInC } from '../engine/guests/build-guest.ts'

const folder = join(import.meta.dirname, 'guests')

/** The components of test/calls/guests, by name; `twin` is the callee once more. */
export function callGuests() {
  const [caller, callee] = [guestInC(folder, 'caller'), guestInC(folder, 'callee')]
  return { caller, callee, twin: callee }
}

/** What the callee asks who called it. */
export const callerInterface = '{namespace: herald, package: identity, interfaces: [caller]}'

/** An entry for the interface of the test guests. */
export const callsEntry = (config: string) =>
  `{namespace: test, package: calls, interfaces: [faults], config: {${config}}}`

/** A host on a NATS server, with identities of an authority that stays its owner's. */
export async function openCallsHouse(
  { url, authority }: { url: string; authority: SvidAuthority },
  options: HouseOptions = {},
): Promise<CapabilityHouse> {
  await using cleanup = new AsyncDisposableStack()
  const house = cleanup.use(
    await openCapabilityHouse(
      (log) => {
        const lattice = connectLattice({ servers: [url], name: 'calls', log, clock, drainTimeoutMs: 100 })
        const svids = createSvidSource({ authority, clock, log })
        const verifier = createJwtVerifier({ authority, clock })
        cleanup.use(lattice)
        cleanup.use(svids)
        return [
          createCallsCapability({ svids, verifier, lattice: () => lattice, clock, log }),
          createHeraldIdentityCapability({ svids, verifier, clock, log }),
        ]
      },
      { guests: callGuests(), ...options },
    ),
  )
  const owned = cleanup.move()
  return { ...house, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Waits until it does not throw. @throws what it threw last, after 20 s */
export async function eventually(check: () => void | Promise<void>): Promise<void> {
  for (const until = Date.now() + 20_000; ; ) {
    try {
      await check()
      return
    } catch (error) {
      if (Date.now() > until) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
