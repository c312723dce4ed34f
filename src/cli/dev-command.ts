import { type Command, Option } from 'commander'
import { systemClock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Host, WorkloadHandle } from '../host/host.ts'
import { createDevelopmentAuthority } from '../identity/development/development-authority.ts'
import type { Workload } from '../manifest/workload.ts'
import { addCommonOptions, addLogOptions, type CommonOptions, createCommandLog } from './common-options.ts'
import { describeDev } from './describe-dev.ts'
import { type DevTarget, findDevTarget } from './dev-target.ts'
import { serveDevTokens } from './dev-tokens.ts'
import type { CliEnvironment } from './environment.ts'
import { listenForInterrupts } from './interrupts.ts'
import {
  collect,
  collectPairs,
  type ListenAddress,
  parseDurationMs,
  parseListenAddress,
  parsePort,
} from './option-values.ts'
import { runUntilEnded } from './run-until-ended.ts'
import { wireHost } from './wire-host.ts'

type DevOptions = CommonOptions & {
  readonly http: ListenAddress
  readonly audience?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly allowHost?: readonly string[]
  readonly allowHostPath?: readonly string[]
  readonly trustDomain: string
  readonly lattice: string
  readonly issuerPort: number
  readonly drainTimeout: number
}

export function addDevCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('dev')
    .summary('run a component or a manifest on this machine, with development identities')
    .description(
      'Runs one component, or the workloads of a manifest, with an authority of its own: nothing has to be installed, and nothing it issues is worth anything to others.',
    )
    .argument(
      '[target]',
      'a .wasm file, a manifest, or a directory with workload.yaml, herald.yaml or one build/*.wasm',
      '.',
    )
    .addOption(
      new Option(
        '--http <address>',
        'where HTTP is served; loopback by default, so that nobody else reaches it; port 0 takes a free one',
      )
        .argParser(parseListenAddress)
        .default({ host: '127.0.0.1', port: 8000 }, '127.0.0.1:8000'),
    )
    .option(
      '--audience <audience>',
      'for a bare .wasm: an audience it may ask tokens for; repeatable; none by default, so identity is denied',
      collect,
    )
    .option(
      '--env <key=value>',
      'for a bare .wasm: a variable it sees; repeatable; none by default, never those of this shell',
      collectPairs,
    )
    .option(
      '--allow-host <host>',
      'for a bare .wasm: where it may send requests (host[:port], https://host, *.suffix, *); repeatable; none by default',
      collect,
    )
    .option(
      '--allow-host-path <directory>',
      'directories under which hostPath volumes may stand; repeatable; none by default',
      collect,
    )
    .option(
      '--trust-domain <name>',
      'trust domain of the SPIFFE IDs; must say "development", so that nobody mistakes them',
      'development.local',
    )
    .option('--lattice <name>', 'first part of the path of the SPIFFE IDs', 'default')
    .addOption(
      new Option(
        '--issuer-port <port>',
        'loopback port of OIDC discovery; fix it when a relying party is configured with the issuer; 0 takes a free one',
      )
        .argParser(parsePort)
        .default(0),
    )
    .addOption(
      new Option('--drain-timeout <duration>', 'how long requests in flight may go on after Ctrl-C')
        .argParser(parseDurationMs)
        .default(10_000, '10s'),
    )
    .addHelpText(
      'after',
      `
Examples:
  herald dev                                     what is in this directory
  herald dev build/api.wasm --audience sts.amazonaws.com --allow-host https://sts.amazonaws.com
  herald dev workload.yaml --issuer-port 8443

Ctrl-C ends it: requests in flight finish first; a second Ctrl-C ends it at once.
Exit codes: 0 ended by a signal, or all ran to completion · 2 usage, manifest or component · 3 identity refused · 4 address in use · 5 a component failed`,
    )
  addLogOptions(addCommonOptions(command)).action((target: string, options: DevOptions) =>
    runDev(target, options, environment),
  )
}

async function runDev(target: string, options: DevOptions, environment: CliEnvironment): Promise<void> {
  const log = createCommandLog(options, environment)
  using interrupts = listenForInterrupts(() => {
    if (options.output === 'text') environment.stderr.write('\nstopping; Ctrl-C again ends at once\n')
  })
  const { signal } = interrupts
  const bare = {
    audiences: options.audience ?? [],
    environment: options.env ?? {},
    allowedHosts: options.allowHost ?? [],
  }
  const found = await findDevTarget(target, bare, environment)
  for (const { message, where } of found.warnings) log.warn({ event: 'manifest.warning', ...where }, message)

  await using authority = await createDevelopmentAuthority({
    log,
    clock: systemClock,
    inKubernetes: environment.inKubernetes,
    trustDomain: options.trustDomain,
    port: options.issuerPort,
  })
  await using wired = await wireHost(
    {
      authority,
      log,
      http: options.http,
      lattice: options.lattice,
      environment: undefined,
      labels: {},
      allowedHostPaths: options.allowHostPath ?? [],
      deniedAddresses: [],
      memoryLimitMb: undefined,
      requestTimeoutMs: undefined,
    },
    { signal },
  )
  const workloads: WorkloadHandle[] = []
  try {
    for (const workload of found.workloads) workloads.push(await deploy(wired.host, here(workload), found, signal))
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  await using _tokens = await serveDevTokens({
    authority,
    host: wired.host,
    directory: environment.runtimeDirectory,
    log,
  })
  const facts = { target: found, url: wired.url, authority, statuses: workloads.map((workload) => workload.status()) }
  environment.stdout.write(describeDev(facts, options.output))
  await runUntilEnded(wired, workloads, { drainTimeoutMs: options.drainTimeout, signal })
}

/** On a laptop there is one host, and it takes everything. */
function here(workload: Workload): Workload {
  return { ...workload, hostSelector: {}, environment: undefined, hostId: undefined }
}

async function deploy(
  host: Host,
  workload: Workload,
  { kind }: DevTarget,
  signal: AbortSignal,
): Promise<WorkloadHandle> {
  try {
    return await host.deploy(workload, { signal })
  } catch (error) {
    if (
      kind === 'component' &&
      isHeraldError(error, 'ERR_WORKLOAD_IMPORT_DENIED') &&
      error.message.includes('wasmcloud:identity/')
    ) {
      throw new HeraldError(
        'ERR_WORKLOAD_IMPORT_DENIED',
        `${workload.name} asks for an identity, and none is given by default`,
        {
          hint: 'say for which audiences it may get tokens: --audience sts.amazonaws.com',
          cause: error,
        },
      )
    }
    throw error
  }
}
