import { systemClock as clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { createOwnIdentity, type OwnIdentity } from '../identity/own-identity.ts'
import { createWorkloadAuthority, type WorkloadAuthority } from '../identity/spire/workload-authority.ts'
import type { Log } from '../observability/log.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import type { CliEnvironment } from './environment.ts'
import type { NatsSvidOptions } from './nats-svid-options.ts'

/** The identity of this process, from its Workload API. */
export interface OwnSpiffe extends AsyncDisposable {
  readonly authority: WorkloadAuthority
  readonly identity: OwnIdentity
}

/** @throws ERR_USAGE without a socket · ERR_SPIFFE_ID_INVALID */
export function openOwnSpiffe(options: NatsSvidOptions, environment: CliEnvironment, log: Log): OwnSpiffe {
  const socketPath = options.spireWorkloadSocket ?? environment.spiffeEndpointSocket
  if (socketPath === undefined) {
    throw new HeraldError('ERR_USAGE', 'the identity of this process is needed, and no Workload API socket was named', {
      hint: 'give --spire-workload-socket PATH or SPIFFE_ENDPOINT_SOCKET',
    })
  }
  const spiffeId = options.ownSpiffeId === undefined ? undefined : parseSpiffeId(options.ownSpiffeId)
  const authority = createWorkloadAuthority({ socketPath, log, clock })
  const identity = createOwnIdentity({ authority, spiffeId, clock, log })
  return {
    authority,
    identity,
    async [Symbol.asyncDispose]() {
      identity[Symbol.dispose]()
      await authority[Symbol.asyncDispose]()
    },
  }
}
