import { systemClock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Host, WorkloadHandle } from '../host/host.ts'
import { createDevelopmentAuthority } from '../identity/development/development-authority.ts'
import type { Workload } from '../manifest/workload.ts'
import { createCommandLog } from './create-command-log.ts'
import { describeDev } from './describe-dev.ts'
import type { DevOptions } from './dev-command.ts'
import { type DevTarget, findDevTarget } from './dev-target.ts'
import { serveDevTokens } from './dev-tokens.ts'
import type { CliEnvironment } from './environment.ts'
import { listenForInterrupts } from './interrupts.ts'
import { runUntilEnded } from './run-until-ended.ts'
import { wireHost } from './wire-host.ts'

export async function runDev(target: string, options: DevOptions, environment: CliEnvironment): Promise<void> {
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
