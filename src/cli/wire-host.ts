import { createCredentialsCapability } from '../capabilities/credentials/credentials-capability.ts'
import { createCredentialFilesCapability } from '../capabilities/credentials/files-capability.ts'
import { createEgressCapability } from '../capabilities/egress/egress-capability.ts'
import { createHeraldIdentityCapability } from '../capabilities/herald-identity/herald-identity-capability.ts'
import { createIdentityCapability } from '../capabilities/identity/identity-capability.ts'
import type { ConnectNats } from '../capabilities/lattice-source.ts'
import { systemClock } from '../clock/clock.ts'
import type { ActivityBook, Traffic } from '../control/herald-activity-book.ts'
import { type AuditFeed, createAuditFeed } from '../control/herald-audit-feed.ts'
import { createEngine } from '../engine/create-engine.ts'
import { defaultLimits } from '../engine/default-limits.ts'
import type { CellIsolation } from '../engine/engine.ts'
import { createHost, type Host, type StopOptions } from '../host/host.ts'
import { createJwtVerifier } from '../identity/jwt-verifier.ts'
import type { SvidAuthority } from '../identity/svid-authority.ts'
import { createSvidSource } from '../identity/svid-source.ts'
import { createIngress } from '../ingress/create-ingress.ts'
import { parseSubjectToken } from '../lattice/subjects.ts'
import { createFileImageSource, type ImageSource } from '../manifest/image-source.ts'
import type { ListenRange } from '../manifest/listen-range.ts'
import type { Log } from '../observability/log.ts'
import { createAuditTrail, feedAudit } from './audit-trail.ts'
import { createBackedCapabilities } from './backed-capabilities.ts'
import type { HostOperations } from './host-operations.ts'
import type { ListenAddress } from './option-values.ts'

export type WireHostOptions = {
  /** One token without dots; default: a new UUID. */
  readonly id?: string | undefined
  /** Default: `file://` images only. */
  readonly images?: ImageSource
  /** Stays the caller's. */
  readonly authority: SvidAuthority
  /** Stays the caller's; without it nothing is measured. */
  readonly operations?: HostOperations | undefined
  /** Makes connections to NATS for capabilities; without it they have none. */
  readonly connectNats?: ConnectNats | undefined
  readonly log: Log
  readonly http: ListenAddress
  /** Directory for transpiled components, so that the next start need not transpile them again; none are kept without it. */
  readonly artifactCache?: string
  readonly lattice: string
  readonly environment: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly allowedHostPaths: readonly string[]
  /** See `HostOptions.allowedListen`. */
  readonly allowedListen?: readonly ListenRange[] | undefined
  readonly deniedAddresses: readonly string[]
  readonly memoryLimitMb: number | undefined
  readonly cpuLimitMillicores?: number | undefined
  readonly requestTimeoutMs: number | undefined
  /** See `HostOptions.idleTimeoutMs` and `EngineOptions.warmCells`. */
  readonly idleTimeoutMs?: number | undefined
  /** See `HostOptions.isolation`. */
  readonly isolation?: CellIsolation | undefined
  readonly warmCells?: number | undefined
}

export type WiredHost = AsyncDisposable & {
  readonly host: Host
  /** Where HTTP is served: `http://127.0.0.1:8000`. */
  readonly url: string
  /** What happened with identities, from the first workload on. */
  readonly audit: AuditFeed
  /** Answers 503 from now on, stops all workloads, requests in flight first. Idempotent. */
  drain(options: StopOptions): Promise<void>
}

/** Puts a host together: authority → SVIDs → capabilities, engine and ingress → host. Disposal takes it apart in reverse. */
export async function wireHost(options: WireHostOptions, { signal }: { signal: AbortSignal }): Promise<WiredHost> {
  const { operations, log } = options
  const tracer = operations?.tracing?.tracer
  const authority = operations?.measureAuthority(options.authority) ?? options.authority
  const clock = systemClock
  await using stack = new AsyncDisposableStack()
  const svids = stack.use(createSvidSource({ authority, clock, log }))
  const trail = createAuditTrail(log)
  if (operations !== undefined) trail.onEvent(operations.count)
  const identity = stack.use(createIdentityCapability({ svids, log, clock, tracer, audit: trail.identity }))
  const credentials = stack.use(
    createCredentialsCapability({
      ...{ svids, fetch, loopbackEndpoints: authority.kind === 'development', clock, log, tracer },
      audit: trail.credentials,
    }),
  )
  const credentialFiles = stack.use(
    createCredentialFilesCapability({
      ...{ svids, loopbackEndpoints: authority.kind === 'development', clock, log },
      audit: trail.identity,
    }),
  )
  const egress = stack.use(
    createEgressCapability({
      ...{ svids, fetch, loopbackEndpoints: authority.kind === 'development', clock, log, tracer },
      x509BundleOf: authority.x509Bundle?.bind(authority),
      audit: trail.egress,
    }),
  )
  /** Known once there is a host; nothing is sent before. */
  let activity: ActivityBook | undefined
  const onTraffic = (traffic: Traffic): void => activity?.addTraffic(traffic, new Date(clock.nowMs()))
  const verifier = createJwtVerifier({ authority, clock })
  const heraldIdentity = stack.use(
    createHeraldIdentityCapability({
      ...{ svids, verifier, clock, log },
      audit: trail.heraldIdentity,
    }),
  )
  const backed = stack.use(
    createBackedCapabilities({ ...options, svids, verifier, auditCalls: trail.calls, tracer, onTraffic }),
  )
  const { idleTimeoutMs, isolation, warmCells } = options
  const engine = stack.use(
    createEngine({
      log,
      clock,
      cacheDir: options.artifactCache,
      tracing: operations?.tracing,
      onRequests: operations?.countRequests,
      onSent: ({ workloadId, component, hosts }) => {
        for (const [target, count] of hosts) onTraffic({ workloadId, component, kind: 'host', target, count })
      },
      ...(warmCells !== undefined && { warmCells }),
    }),
  )
  const ingress = stack.use(
    await createIngress({ ...options.http, timed: operations !== undefined, tracing: operations?.tracing, log }),
  )
  const host = stack.use(
    await createHost(
      {
        engine,
        ingress,
        capabilities: [identity, heraldIdentity, credentials, credentialFiles, egress, ...backed.all],
        lattice: options.lattice,
        environment: options.environment,
        labels: options.labels,
        images: options.images ?? createFileImageSource(),
        ...(options.id !== undefined && { id: options.id }),
        log,
        clock,
        tracer,
        limits: {
          ...defaultLimits,
          ...(options.memoryLimitMb !== undefined && { memoryLimitMb: options.memoryLimitMb }),
          ...(options.requestTimeoutMs !== undefined && { requestTimeoutMs: options.requestTimeoutMs }),
        },
        deniedAddresses: options.deniedAddresses,
        allowedHostPaths: options.allowedHostPaths,
        ...(options.allowedListen !== undefined && { allowedListen: options.allowedListen }),
        ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
        ...(isolation !== undefined && { isolation }),
        ...(options.cpuLimitMillicores !== undefined && { cpuLimitMillicores: options.cpuLimitMillicores }),
      },
      { signal },
    ),
  )
  const audit = stack.use(createAuditFeed({ hostId: parseSubjectToken(host.id, 'the id of the host'), clock, log }))
  activity = audit.activity
  trail.onEvent((told) => feedAudit(audit, told))
  operations?.watch({ host, ingress, svids, audit })
  const owned = stack.move()
  return {
    host,
    audit,
    url: urlOf(ingress.address),
    async drain(drainOptions) {
      ingress.setReady(false)
      await host.drain(drainOptions)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** A URL that works on this machine: a wildcard address is shown as loopback. */
function urlOf({ host, port }: ListenAddress): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
