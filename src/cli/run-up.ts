import { join } from 'node:path'
import { systemClock } from '../clock/clock.ts'
import { readContexts, writeContexts } from '../config/contexts.ts'
import type { HeraldError } from '../errors/herald-error.ts'
import { createDevelopmentAuthority } from '../identity/development/development-authority.ts'
import { createCommandLog } from './create-command-log.ts'
import { serveDevTokens } from './dev-tokens.ts'
import { type CliEnvironment, readCacheDirectory, readRegistryEnvironment } from './environment.ts'
import { listenForInterrupts } from './interrupts.ts'
import { createOutputTap } from './inventoried-host.ts'
import { serveOnLattice } from './lattice-host.ts'
import { startLocalNats } from './local-nats.ts'
import { natsConnections } from './nats-connections.ts'
import type { NatsOptions } from './nats-options.ts'
import { openRegistryImages } from './registry-images.ts'
import { openOperations } from './telemetry-option.ts'
import type { UpOptions } from './up-command.ts'
import { heraldVersion } from './version-command.ts'
import { wireHost } from './wire-host.ts'

export async function runUp(options: UpOptions, environment: CliEnvironment): Promise<void> {
  const output = createOutputTap()
  const log = createCommandLog(options, environment, output.write)
  using interrupts = listenForInterrupts(() => {
    if (options.output === 'text') environment.stderr.write('\nstopping; Ctrl-C again ends at once\n')
  })
  const { signal } = interrupts
  const registries = readRegistryEnvironment()
  let natsFailure: HeraldError | undefined
  await using authority = await createDevelopmentAuthority({
    log,
    clock: systemClock,
    inKubernetes: environment.inKubernetes,
    trustDomain: options.trustDomain,
    port: options.issuerPort,
  })
  await using nats =
    options.nats === undefined
      ? await startLocalNats({
          program: options.natsServer,
          programDirectories: registries.programDirectories,
          port: options.natsPort,
          directory: join(environment.runtimeDirectory, 'up'),
          storeDirectory: join(environment.dataDirectory, 'nats'),
          log,
          signal,
        })
      : undefined
  const target: NatsOptions & { nats: readonly string[] } =
    nats === undefined
      ? {
          nats: options.nats ?? [],
          ...(options.natsTokenFile !== undefined && { natsTokenFile: options.natsTokenFile }),
        }
      : { nats: [nats.url], natsTokenFile: nats.tokenFile }
  await using operations = await openOperations(options, { lattice: true, output, log, signal })
  const images = await openRegistryImages({}, registries, { log, signal })
  const labels = { hostgroup: 'default' }
  const connectNats = natsConnections(target, { log })
  await using wired = await wireHost(
    {
      authority,
      connectNats,
      operations,
      log,
      http: options.http,
      artifactCache: `${readCacheDirectory()}/artifacts`,
      lattice: options.lattice,
      environment: undefined,
      labels,
      allowedHostPaths: options.allowHostPath ?? [],
      deniedAddresses: [],
      images: images.source(),
      memoryLimitMb: undefined,
      requestTimeoutMs: undefined,
    },
    { signal },
  )
  await using _tokens = await serveDevTokens({
    authority,
    host: wired.host,
    directory: environment.runtimeDirectory,
    log,
  })
  if (nats !== undefined) {
    // Named for the other commands, and in use when nothing else is.
    const { current, contexts } = await readContexts(environment.contextsFile)
    await writeContexts(environment.contextsFile, { current: current ?? 'up', contexts: { ...contexts, up: target } })
    void nats.ended.then((error) => {
      natsFailure = error
      log.error({ event: 'up.nats_ended', code: error.code }, error.describe())
      interrupts.end('NATS has ended')
    })
  }
  const facts = {
    hostId: wired.host.id,
    http: wired.url,
    nats: target.nats,
    context: nats === undefined ? undefined : 'up',
    issuer: authority.issuer,
    trustDomain: authority.trustDomain,
  }
  environment.stdout.write(
    options.output === 'json'
      ? `${JSON.stringify({ event: 'ready', ...facts })}\n`
      : `${[
          `A lattice on this machine, with identities for development only:`,
          `  nats    ${target.nats.join(', ')}${nats === undefined ? '' : '  (context: up)'}`,
          `  host    ${options.friendlyName}, ${wired.url}`,
          `  issuer  ${authority.issuer}`,
          `Next, in another terminal: herald deploy -f workload.yaml`,
          'Ctrl-C ends it.',
        ].join('\n')}\n`,
  )
  const { drainTimeout: drainTimeoutMs, friendlyName } = options
  await serveOnLattice(
    { ...target, friendlyName, stopDelay: 0 },
    {
      ...{ wired, images, connectNats, labels, drainTimeoutMs, operations, log, signal, output },
      version: heraldVersion(),
      inKubernetes: environment.inKubernetes,
      drainDelayMs: 0,
      drain: () => interrupts.end('asked to drain over the lattice'),
      allowFileImages: true,
    },
  )
  if (natsFailure !== undefined) throw natsFailure
}
