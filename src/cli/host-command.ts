import { existsSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { systemClock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { WorkloadHandle } from '../host/host.ts'
import { createSpireAuthority } from '../identity/spire/spire-authority.ts'
import type { SvidAuthority } from '../identity/svid-authority.ts'
import { loadManifest } from '../manifest/load-manifest.ts'
import type { Log } from '../observability/log.ts'
import { addCommonOptions, addLogOptions, type CommonOptions, createCommandLog } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { listenForInterrupts } from './interrupts.ts'
import {
  collect,
  collectPairs,
  type ListenAddress,
  parseDurationMs,
  parseListenAddress,
  parseMebibytes,
} from './option-values.ts'
import { runUntilEnded } from './run-until-ended.ts'
import { wireHost } from './wire-host.ts'

type HostCommandOptions = CommonOptions & {
  readonly file: readonly string[]
  readonly spireAdminSocket?: string
  readonly spireWorkloadSocket?: string
  readonly http: ListenAddress
  readonly lattice: string
  readonly environment?: string
  readonly label?: Readonly<Record<string, string>>
  readonly allowHostPath?: readonly string[]
  readonly memoryLimit?: number
  readonly requestTimeout?: number
  readonly drainTimeout: number
}

export function addHostCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('host')
    .summary('run workloads with identities of SPIRE')
    .description(
      "Runs the workloads of manifests, each component with the SVIDs that SPIRE issues for exactly it. Speaks to the admin socket of the agent on this machine; the host's own SPIFFE ID must be among the agent's authorized_delegates.",
    )
    .requiredOption('-f, --file <manifest>', 'a manifest of WorkloadDeployments or Workloads; repeatable', collect)
    .option(
      '--spire-admin-socket <path>',
      'admin_socket_path of the SPIRE agent (default: $SPIRE_ADMIN_ENDPOINT_SOCKET); it need not be there yet',
    )
    .option(
      '--spire-workload-socket <path>',
      "the agent's Workload API socket, only to name this host's own SPIFFE ID in errors; not asked by default",
    )
    .addOption(
      new Option(
        '--http <address>',
        'where HTTP is served; loopback by default: put :8000 for all addresses, as in a pod',
      )
        .argParser(parseListenAddress)
        .default({ host: '127.0.0.1', port: 8000 }, '127.0.0.1:8000'),
    )
    .option('--lattice <name>', 'the lattice selector of every component on this host', 'default')
    .option('--environment <name>', 'the environment selector, and what a manifest may ask for; none by default')
    .option(
      '--label <key=value>',
      'a label of this host, for hostSelector and the host-label selectors; repeatable; none by default',
      collectPairs,
    )
    .option(
      '--allow-host-path <directory>',
      'directories under which hostPath volumes may stand; repeatable; none by default',
      collect,
    )
    .addOption(
      new Option(
        '--memory-limit <MiB>',
        'cap on each linear memory of a component, MiB; a guest that wants more gets an allocation failure, and the host stays up (default: 256)',
      ).argParser(parseMebibytes),
    )
    .addOption(
      new Option(
        '--request-timeout <duration>',
        'longest time from a request to the end of its response; then its instance is thrown away (default: 30s)',
      ).argParser(parseDurationMs),
    )
    .addOption(
      new Option(
        '--drain-timeout <duration>',
        'how long requests in flight may go on after SIGTERM; keep it below terminationGracePeriodSeconds (30s by default)',
      )
        .argParser(parseDurationMs)
        .default(20_000, '20s'),
    )
    .addHelpText(
      'after',
      `
Examples:
  herald host -f workload.yaml --spire-admin-socket /run/spire/admin/admin.sock
  herald host -f a.yaml -f b.yaml --http :8000 --label hostgroup=default --environment team-a

SIGTERM or Ctrl-C drains: new requests are answered 503, those in flight finish, then it exits with 0; a second one ends it at once.
Exit codes: 0 drained, or all ran to completion · 2 usage, manifest or component · 3 identity refused · 4 address in use · 5 a component failed`,
    )
  addLogOptions(addCommonOptions(command)).action((options: HostCommandOptions) => runHost(options, environment))
}

async function runHost(options: HostCommandOptions, environment: CliEnvironment): Promise<void> {
  const log = createCommandLog(options, environment)
  const adminSocketPath = options.spireAdminSocket ?? environment.spireAdminSocket
  if (adminSocketPath === undefined) {
    throw new HeraldError('ERR_USAGE', 'no SPIRE admin socket was named', {
      hint: 'give --spire-admin-socket PATH or SPIRE_ADMIN_ENDPOINT_SOCKET, or try without SPIRE: herald dev',
    })
  }
  using interrupts = listenForInterrupts((name) => log.info({ event: 'host.signal', signal: name }, 'draining'))
  const { signal } = interrupts
  const manifests = await Promise.all(options.file.map((file) => loadManifest(file, environment)))
  for (const { message, where } of manifests.flatMap(({ warnings }) => warnings)) {
    log.warn({ event: 'manifest.warning', ...where }, message)
  }

  await using authority = createSpireAuthority({
    adminSocketPath,
    workloadSocketPath: options.spireWorkloadSocket,
    log,
    clock: systemClock,
  })
  const diagnosis = sayHowSpireIs(authority, adminSocketPath, log, signal)
  await using wired = await wireHost(
    {
      authority,
      log,
      http: options.http,
      lattice: options.lattice,
      environment: options.environment,
      labels: options.label ?? {},
      allowedHostPaths: options.allowHostPath ?? [],
      deniedAddresses: [adminSocketPath.replace(/^unix:(\/\/)?/, '')],
      memoryLimitMb: options.memoryLimit,
      requestTimeoutMs: options.requestTimeout,
    },
    { signal },
  )
  const workloads: WorkloadHandle[] = []
  try {
    for (const workload of manifests.flatMap((manifest) => manifest.workloads)) {
      workloads.push(await wired.host.deploy(workload, { signal }))
    }
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  const serving = workloads.flatMap((handle) => {
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
      ? `${JSON.stringify({ event: 'ready', hostId: wired.host.id, http: wired.url, components: serving })}\n`
      : `Serving ${serving.map(({ workload, component }) => `${workload}/${component}`).join(', ')} on ${wired.url}\n`,
  )
  await runUntilEnded(wired, workloads, { drainTimeoutMs: options.drainTimeout, signal })
  await diagnosis
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
