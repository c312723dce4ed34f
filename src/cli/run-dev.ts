import { systemClock } from '../clock/clock.ts'
import { createDevelopmentAuthority } from '../identity/development/development-authority.ts'
import { createCommandLog } from './create-command-log.ts'
import { describeDev } from './describe-dev.ts'
import type { DevOptions } from './dev-command.ts'
import { type DevSession, startDevSession } from './dev-session.ts'
import { findDevTarget } from './dev-target.ts'
import { serveDevTokens } from './dev-tokens.ts'
import { type CliEnvironment, readCacheDirectory } from './environment.ts'
import { listenForInterrupts } from './interrupts.ts'
import { createOutputTap } from './inventoried-host.ts'
import { lazyRegistryImages } from './lazy-registry-images.ts'
import { runUntilEnded } from './run-until-ended.ts'
import { openOperations } from './telemetry-option.ts'
import { wireHost } from './wire-host.ts'

/** Where a workload may listen itself: nobody else reaches it there. */
const loopback = ['127.0.0.1', '::1'].map((host) => ({ host, firstPort: 1, lastPort: 65_535 }))

export async function runDev(target: string, options: DevOptions, environment: CliEnvironment): Promise<void> {
  const output = createOutputTap()
  const log = createCommandLog(options, environment, output.write)
  using interrupts = listenForInterrupts(() => {
    if (options.output === 'text') environment.stderr.write('\nstopping; Ctrl-C again ends at once\n')
  })
  const { signal } = interrupts
  const bare = {
    audiences: options.audience ?? [],
    environment: options.env ?? {},
    allowedHosts: options.allowHost ?? [],
    poolSize: options.poolSize,
  }
  // Before anything is started: most mistakes are made here.
  const first = await findDevTarget(target, bare, environment)
  await using authority = await createDevelopmentAuthority({
    log,
    clock: systemClock,
    inKubernetes: environment.inKubernetes,
    trustDomain: options.trustDomain,
    port: options.issuerPort,
  })
  await using operations = await openOperations(options, { lattice: false, output, log, signal })
  await using wired = await wireHost(
    {
      authority,
      operations,
      log,
      http: options.http,
      artifactCache: `${readCacheDirectory()}/artifacts`,
      lattice: options.lattice,
      environment: undefined,
      labels: {},
      allowedHostPaths: options.allowHostPath ?? [],
      allowedListen: loopback,
      deniedAddresses: [],
      images: lazyRegistryImages({ log, signal }),
      memoryLimitMb: undefined,
      requestTimeoutMs: undefined,
      idleTimeoutMs: options.idleTimeout,
    },
    { signal },
  )
  let session: DevSession
  try {
    session = await startDevSession(
      {
        host: wired.host,
        first,
        find: () => findDevTarget(target, bare, environment),
        drainTimeoutMs: options.drainTimeout,
        reload: options.reload,
        cwd: environment.cwd,
        log,
        onServing: (serving) => {
          environment.stdout.write(describeDev({ ...serving, url: wired.url, authority }, options.output))
        },
      },
      { signal },
    )
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  using _session = session
  await using _tokens = await serveDevTokens({
    authority,
    host: wired.host,
    directory: environment.runtimeDirectory,
    log,
  })
  await runUntilEnded(wired, session.ended, { drainTimeoutMs: options.drainTimeout, signal })
}
