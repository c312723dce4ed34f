import { createBlobstoreCapability } from '../capabilities/blobstore/blobstore-capability.ts'
import type { CallsAuditSink } from '../capabilities/calls/calls-audit.ts'
import { createCallsCapability } from '../capabilities/calls/calls-capability.ts'
import type { Capability } from '../capabilities/capability.ts'
import { createConfigCapability } from '../capabilities/config/config-capability.ts'
import { createKeyvalueCapability } from '../capabilities/keyvalue/keyvalue-capability.ts'
import type { ConnectNats } from '../capabilities/lattice-source.ts'
import { createLoggingCapability } from '../capabilities/logging/logging-capability.ts'
import type { OnTraffic } from '../capabilities/messaging/messaging-binding.ts'
import { createMessagingCapability } from '../capabilities/messaging/messaging-capability.ts'
import { ownLattices } from '../capabilities/own-lattice.ts'
import { createSecretsCapability } from '../capabilities/secrets/secrets-capability.ts'
import { systemClock as clock } from '../clock/clock.ts'
import type { JwtVerifier } from '../identity/jwt-verifier.ts'
import type { SvidSource } from '../identity/svid-source.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { Log } from '../observability/log.ts'
import type { Tracer } from '../observability/tracer.ts'

export type BackedCapabilitiesOptions = {
  readonly log: Log
  /** Stays with its owner. */
  readonly svids: Pick<SvidSource, 'open'>
  readonly verifier: JwtVerifier
  /** Makes a connection to NATS; absent on a host without. */
  readonly connectNats?: ConnectNats | undefined
  /** Where calls between workloads are told. Default: the log. */
  readonly auditCalls?: CallsAuditSink
  readonly allowedHostPaths?: readonly string[]
  /** See `MessagingCapabilityOptions`. */
  readonly onTraffic?: OnTraffic | undefined
  /** Default: no spans are made. */
  readonly tracer?: Tracer | undefined
}

/** What a host serves beside WASI and identity. Disposal ends them, last first, and the connections made for them. */
export function createBackedCapabilities({
  log,
  svids,
  verifier,
  connectNats,
  auditCalls: audit,
  tracer,
  onTraffic,
  allowedHostPaths = [],
}: BackedCapabilitiesOptions): AsyncDisposable & { readonly all: readonly Capability[] } {
  const stack = new AsyncDisposableStack()
  const connections = new Map<string, Lattice>()
  /** Connected when the first workload needs it. */
  const lattice =
    connectNats &&
    ((purpose: string): Lattice => {
      const known = connections.get(purpose) ?? connectNats(purpose)
      connections.set(purpose, known)
      return known
    })
  stack.defer(async () => {
    for (const connection of connections.values()) await connection[Symbol.asyncDispose]()
  })
  const openOwn = connectNats && ownLattices({ svids, connect: connectNats, clock, log })
  const all = [
    createConfigCapability(),
    createLoggingCapability({ log }),
    createKeyvalueCapability({ log, lattice, openOwn, allowedHostPaths }),
    createMessagingCapability({ log, lattice, openOwn, tracer, onTraffic }),
    createBlobstoreCapability({ log, clock, fetch, svids, lattice, openOwn, allowedHostPaths }),
    createSecretsCapability({ log, allowedHostPaths }),
    createCallsCapability({
      svids,
      verifier,
      lattice: lattice && (() => lattice('calls')),
      clock,
      log,
      tracer,
      ...(audit && { audit }),
    }),
  ]
  for (const capability of all) stack.use(capability)
  return { all, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
