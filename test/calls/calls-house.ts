import { join } from 'node:path'
import { createCallsCapability } from '../../src/capabilities/calls/calls-capability.ts'
import { createHeraldIdentityCapability } from '../../src/capabilities/herald-identity/herald-identity-capability.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { createJwtVerifier } from '../../src/identity/jwt-verifier.ts'
import type { SvidAuthority } from '../../src/identity/svid-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { connectLattice } from '../../src/lattice/connect-lattice.ts'
import type { Tracer } from '../../src/observability/tracer.ts'
import { type CapabilityHouse, type HouseOptions, openCapabilityHouse } from '../capabilities/capability-house.ts'
import { guestInC, watComponent } from '../engine/guests/build-guest.ts'

const folder = join(import.meta.dirname, 'guests')

/** The components of test/calls/guests, by name; `twin` is the callee once more. */
export function callGuests() {
  const [caller, callee] = [guestInC(folder, 'caller'), guestInC(folder, 'callee')]
  return { caller, callee, twin: callee }
}

/** Calls `wait` of one interface under two labels, `left` and `right`. */
export function labelledCaller(): Promise<Uint8Array> {
  const wait = (label: string) => `(import "${label}" "wait" (func $${label} (param i64) (result i32)))`
  const ask = (label: string) =>
    `(func (export "test:asker/asking#${label}") (result i32) (call $${label} (i64.const 0)))`
  return watComponent(
    `(module ${wait('left')} ${wait('right')} ${ask('left')} ${ask('right')})`,
    `package test:asker;
package test:calls@0.1.0 { interface faults { wait: func(ms: u64) -> u32; } }
interface asking { left: func() -> u32; right: func() -> u32; }
world asker { import left: test:calls/faults@0.1.0; import right: test:calls/faults@0.1.0; export asking; }`,
    'asker',
  )
}

/** What the callee asks who called it. */
export const callerInterface = '{namespace: herald, package: identity, interfaces: [caller]}'

/** An entry for the interface of the test guests. */
export const callsEntry = (config: string) =>
  `{namespace: test, package: calls, interfaces: [faults], config: {${config}}}`

/** A host on a NATS server, with identities of an authority that stays its owner's. */
export async function openCallsHouse(
  { url, authority, tracer }: { url: string; authority: SvidAuthority; tracer?: Tracer },
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
          createCallsCapability({ svids, verifier, lattice: () => lattice, clock, log, tracer }),
          createHeraldIdentityCapability({ svids, verifier, clock, log }),
        ]
      },
      { guests: { ...callGuests(), asker: labelledCaller() }, ...options },
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
