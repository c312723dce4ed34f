import { type Command, Option } from 'commander'
import { addCommonOptions, addLogOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import {
  collect,
  collectPairs,
  type ListenAddress,
  parseDurationMs,
  parseIdleTimeoutMs,
  parseListenAddress,
  parsePoolSize,
  parsePort,
} from './option-values.ts'
import { otlpEndpointOption, type TelemetryOptions } from './telemetry-option.ts'

export type DevOptions = CommonOptions &
  TelemetryOptions & {
    readonly http: ListenAddress
    readonly audience?: readonly string[]
    readonly env?: Readonly<Record<string, string>>
    readonly allowHost?: readonly string[]
    readonly poolSize: number
    readonly allowHostPath?: readonly string[]
    readonly trustDomain: string
    readonly lattice: string
    readonly issuerPort: number
    readonly idleTimeout?: number
    readonly drainTimeout: number
    readonly reload: boolean
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
    .addOption(
      new Option(
        '--pool-size <number>',
        'for a bare .wasm: instances kept between calls; 0 as in a manifest without poolSize, a fresh instance for every call',
      )
        .argParser(parsePoolSize)
        .default(0),
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
      new Option(
        '--idle-timeout <duration>',
        'a workload without a request for so long gives its thread back until the next one; or never (default: 5m)',
      ).argParser(parseIdleTimeoutMs),
    )
    .addOption(
      new Option('--drain-timeout <duration>', 'how long requests in flight may go on after Ctrl-C')
        .argParser(parseDurationMs)
        .default(10_000, '10s'),
    )
    .option(...otlpEndpointOption)
    .option('--no-reload', 'do not run it anew when the manifest or a component changes')
    .addHelpText(
      'after',
      `
Examples:
  herald dev                                     what is in this directory
  herald dev build/api.wasm --audience sts.amazonaws.com --allow-host https://sts.amazonaws.com
  herald dev workload.yaml --issuer-port 8443

Ctrl-C ends it: requests in flight finish first; a second Ctrl-C ends it at once.
Exit codes: 0 ended by a signal, or all ran to completion · 2 usage, manifest or component · 3 identity refused · 4 the address is in use · 5 a component failed`,
    )
  // What serves is loaded only when it is needed: help and completion answer at once.
  addLogOptions(addCommonOptions(command)).action(async (target: string, options: DevOptions) =>
    (await import('./run-dev.ts')).runDev(target, options, environment),
  )
}
