import { randomUUID } from 'node:crypto'
import { systemClock } from '../../src/clock/clock.ts'
import type { ControlledHost } from '../../src/control/controlled-host.ts'
import { type ControlOptions, createControl } from '../../src/control/create-control.ts'
import type { HostIdentity } from '../../src/control/host-identity.ts'
import { type ConnectLatticeOptions, connectLattice } from '../../src/lattice/connect-lattice.ts'
import { type Event, testLog } from '../lattice/lattice-test-setup.ts'

export type TestHost<H extends ControlledHost> = AsyncDisposable & {
  readonly hostId: string
  readonly host: H
  readonly identity: HostIdentity
  readonly events: () => Event[]
  readonly logText: () => string
  refuseStarts(): void
}

/** A control room over a real connection, for any host. */
export async function testHost<H extends ControlledHost>(
  url: string,
  host: H,
  options: Partial<Omit<ControlOptions, 'host' | 'identity'>> & {
    identity?: Partial<HostIdentity>
    connected?: boolean
    connection?: Partial<ConnectLatticeOptions>
  } = {},
): Promise<TestHost<H>> {
  const { identity: given, connected = true, connection, ...more } = options
  const hostId = given?.hostId ?? randomUUID()
  const identity = {
    hostId,
    hostname: '127.0.0.1',
    friendlyName: `host-${hostId.slice(0, 8)}`,
    labels: { hostgroup: 'default' },
    environment: undefined,
    version: '0.1.0',
    ...given,
  }
  const { log, events, text } = testLog('control')
  await using owned = new AsyncDisposableStack()
  const lattice = owned.use(connectLattice({ servers: [url], name: 'control', log, clock: systemClock, ...connection }))
  const control = owned.use(createControl({ lattice, host, identity, log, clock: systemClock, ...more }))
  if (connected) await lattice.flush({ signal: AbortSignal.timeout(10_000) })
  const kept = owned.move()
  return {
    hostId,
    host,
    identity,
    events,
    logText: text,
    refuseStarts: () => control.refuseStarts(),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
