import { existsSync } from 'node:fs'
import { systemClock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { ComponentService } from '../host/workload-state.ts'
import { createSpireAuthority } from '../identity/spire/spire-authority.ts'
import type { SvidAuthority } from '../identity/svid-authority.ts'
import { loadManifest } from '../manifest/load-manifest.ts'
import type { Log } from '../observability/log.ts'
import { createCommandLog } from './create-command-log.ts'
import { type CliEnvironment, readRegistryEnvironment } from './environment.ts'
import type { HostCommandOptions } from './host-command.ts'
import { listenForInterrupts } from './interrupts.ts'
import { createOutputTap } from './inventoried-host.ts'
import { parseAllowListen } from './listen-option.ts'
import { usesOwnSvids } from './nats-svid-options.ts'
import { openOwnSpiffe } from './own-spiffe.ts'
import { openRegistryImages } from './registry-images.ts'
import { usesRegistryIdentity } from './registry-options.ts'
import { runUntilEnded } from './run-until-ended.ts'
import { allEnded, type StartedWorkloads, startWorkloads, type WorkloadFailure } from './start-workloads.ts'
import { openOperations } from './telemetry-option.ts'
import { heraldVersion } from './version-command.ts'
import { wireHost } from './wire-host.ts'
import { pullSecretsOf } from './workload-pull-secrets.ts'

export async function runHost(options: HostCommandOptions, environment: CliEnvironment): Promise<void> {
  const output = createOutputTap()
  const log = createCommandLog(options, environment, output.write)
  const { file = [], nats } = options
  if (file.length === 0 && nats === undefined) {
    throw new HeraldError('ERR_USAGE', 'there is nothing to run, and nobody to take work from', {
      hint: 'give -f MANIFEST, or --nats URL to take work from the operator',
    })
  }
  const adminSocketPath = options.spireAdminSocket ?? environment.spireAdminSocket
  if (adminSocketPath === undefined) {
    throw new HeraldError('ERR_USAGE', 'no SPIRE admin socket was named', {
      hint: 'give --spire-admin-socket PATH or SPIRE_ADMIN_ENDPOINT_SOCKET, or try without SPIRE: herald dev',
    })
  }
  const allowedListen = parseAllowListen(options.allowListen ?? [])
  using interrupts = listenForInterrupts((name) => log.info({ event: 'host.signal', signal: name }, 'draining'))
  const { signal } = interrupts
  const manifests = await Promise.all(file.map((file) => loadManifest(file, environment)))
  for (const { message, where } of manifests.flatMap(({ warnings }) => warnings)) {
    log.warn({ event: 'manifest.warning', ...where }, message)
  }

  const { hostId } = options
  await using operations = await openOperations(options, { hostId, lattice: nats !== undefined, output, log, signal })
  const labels = { ...(nats !== undefined && { hostgroup: options.hostgroup }), ...options.label }
  await using authority = createSpireAuthority({
    adminSocketPath,
    workloadSocketPath: options.spireWorkloadSocket ?? environment.spiffeEndpointSocket,
    log,
    clock: systemClock,
  })
  const diagnosis = sayHowSpireIs(authority, adminSocketPath, log, signal)
  const showsNats = usesOwnSvids(options)
  await using own = showsNats || usesRegistryIdentity(options) ? openOwnSpiffe(options, environment, log) : undefined
  const svids = own?.identity
  const images = await openRegistryImages(options, readRegistryEnvironment(), { log, signal, svids })
  // The NATS client is loaded only by hosts that use it.
  const connectNats =
    nats &&
    (await import('./nats-connections.ts')).natsConnections(
      { ...options, nats },
      { log, own: showsNats ? own : undefined },
    )
  await using wired = await wireHost(
    {
      authority,
      connectNats,
      operations,
      log,
      http: options.http,
      ...(options.artifactCache !== undefined && { artifactCache: options.artifactCache }),
      lattice: options.lattice,
      environment: options.environment,
      labels,
      id: options.hostId,
      images: images.source(),
      allowedHostPaths: options.allowHostPath ?? [],
      allowedListen,
      deniedAddresses: [adminSocketPath.replace(/^unix:(\/\/)?/, '')],
      memoryLimitMb: options.memoryLimit,
      cpuLimitMillicores: options.cpuLimit,
      requestTimeoutMs: options.requestTimeout,
      idleTimeoutMs: options.idleTimeout,
      isolation: options.isolation,
      warmCells: options.warmCells,
    },
    { signal },
  )
  let started: StartedWorkloads
  try {
    const workloads = manifests.flatMap((manifest) => manifest.workloads)
    const secrets = {
      cwd: environment.cwd,
      signal,
      warn: (text: string) => log.warn({ event: 'manifest.warning' }, text),
    }
    started = await startWorkloads(wired.host, workloads, {
      log,
      signal,
      imagesFor: async (workload) => images.source(await pullSecretsOf(workload, options, secrets)),
    })
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  const { handles, failures } = started
  const [failure] = failures
  if (failure !== undefined && handles.length === 0 && nats === undefined) throw failure.error
  operations?.serving()
  const serving = handles.flatMap((handle) => {
    const { namespace, name, components } = handle.status()
    return components.map((component) => ({
      workload: `${namespace}/${name}`,
      component: component.name,
      imageDigest: component.imageDigest,
      audiences: component.audiences,
      serves: component.serves,
    }))
  })
  environment.stdout.write(
    options.output === 'json'
      ? `${JSON.stringify({ event: 'ready', hostId: wired.host.id, http: wired.url, health: operations?.url, components: serving, failed: failures.map(toJson) })}\n`
      : serving.length === 0
        ? `Taking work from ${nats?.join(', ')}, serving on ${wired.url}\n`
        : `Serving ${serving.map(({ workload, component }) => `${workload}/${component}`).join(', ')} on ${wired.url}\n${serving.map(listens).join('')}${notServed(failures)}`,
  )
  const { drainTimeout: drainTimeoutMs, drainDelay: drainDelayMs } = options
  if (nats === undefined || connectNats === undefined) {
    await runUntilEnded(wired, allEnded(started), { drainTimeoutMs, drainDelayMs, signal })
  } else {
    const { serveOnLattice } = await import('./lattice-host.ts')
    const { inKubernetes } = environment
    const context = {
      wired,
      images,
      connectNats,
      labels,
      version: heraldVersion(),
      inKubernetes,
      drainTimeoutMs,
      drainDelayMs,
      operations,
      log,
      signal,
      drain: () => interrupts.end('asked to drain over the lattice'),
      output,
    }
    await serveOnLattice({ ...options, nats }, context)
  }
  await diagnosis
}

type ComponentStart = {
  readonly workload: string
  readonly component: string
  readonly serves: readonly ComponentService[]
}

const toJson = ({ workload, error: { code, message, hint, where } }: WorkloadFailure): object => ({
  workload,
  error: { code, message, hint, where },
})

function listens({ workload, component, serves }: ComponentStart): string {
  return serves
    .map((service) => (service.kind === 'listen' ? `${workload}/${component} listens on ${service.url}\n` : ''))
    .join('')
}

function notServed(failures: readonly WorkloadFailure[]): string {
  return failures.map(({ workload, error }) => `Not served: ${workload}: ${error.describe()}\n`).join('')
}

/** Says once, in the background, whether this host may act for components. Never rejects: workloads serve meanwhile. */
async function sayHowSpireIs(authority: SvidAuthority, path: string, log: Log, signal: AbortSignal): Promise<void> {
  if (!existsSync(path.replace(/^unix:(\/\/)?/, ''))) {
    log.warn(
      { event: 'spire.socket_absent', path },
      'the SPIRE admin socket is not there yet; identities are issued once it is',
    )
  }
  try {
    await authority.diagnose({ signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]) })
    log.info({ event: 'spire.ready', path }, 'this host may act for components')
  } catch (error) {
    if (signal.aborted || !isHeraldError(error)) return
    log.error({ event: 'spire.not_ready', code: error.code, path }, error.describe())
  }
}
