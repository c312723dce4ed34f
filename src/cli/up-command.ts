import { type Command, Option } from 'commander'
import { addCommonOptions, addLogOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { collect, type ListenAddress, parseDurationMs, parseListenAddress, parsePort } from './option-values.ts'
import { otlpEndpointOption, type TelemetryOptions } from './telemetry-option.ts'

export type UpOptions = CommonOptions &
  TelemetryOptions & {
    readonly http: ListenAddress
    readonly natsServer?: string
    readonly natsPort: number
    readonly nats?: readonly string[]
    readonly natsTokenFile?: string
    readonly friendlyName: string
    readonly trustDomain: string
    readonly lattice: string
    readonly issuerPort: number
    readonly drainTimeout: number
    readonly allowHostPath?: readonly string[]
  }

export function addUpCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('up')
    .summary('a lattice on this machine: NATS, one host, development identities')
    .description(
      'Starts nats-server on loopback with a token of its own, one host on it with the development authority, and names it as the context "up". Then herald deploy, get, scale and logs work as on any lattice; file:// images of this machine too.',
    )
    .addOption(
      new Option('--http <address>', 'where HTTP is served; loopback by default, so that nobody else reaches it')
        .argParser(parseListenAddress)
        .default({ host: '127.0.0.1', port: 8000 }, '127.0.0.1:8000'),
    )
    .option('--nats-server <path>', 'the nats-server to start (default: the first one on the PATH)')
    .addOption(
      new Option('--nats-port <port>', 'loopback port of NATS; 0 takes a free one').argParser(parsePort).default(4222),
    )
    .option('--nats <url>', 'use this NATS instead of starting one; repeatable', collect)
    .option('--nats-token-file <path>', 'a file with the token of that NATS')
    .option('--friendly-name <name>', "the host's name on the lattice; never the same for two hosts", 'up')
    .option('--trust-domain <name>', 'trust domain of the SPIFFE IDs; must say "development"', 'development.local')
    .option('--lattice <name>', 'first part of the path of the SPIFFE IDs', 'default')
    .addOption(
      new Option('--issuer-port <port>', 'loopback port of OIDC discovery; 0 takes a free one')
        .argParser(parsePort)
        .default(0),
    )
    .option(
      '--allow-host-path <directory>',
      'directories under which hostPath volumes may stand; repeatable; none by default',
      collect,
    )
    .addOption(
      new Option('--drain-timeout <duration>', 'how long requests in flight may go on after Ctrl-C')
        .argParser(parseDurationMs)
        .default(10_000, '10s'),
    )
    .option(...otlpEndpointOption)
    .addHelpText(
      'after',
      `
Examples:
  herald up                                in one terminal
  herald deploy -f workload.yaml           in another one
  herald up --nats nats://127.0.0.1:4222 --friendly-name second --http 0     a second host on the same NATS

Ctrl-C ends it all. Exit codes: 0 ended by a signal · 2 usage, or no nats-server · 4 an address is in use`,
    )
  addLogOptions(addCommonOptions(command)).action(async (options: UpOptions) =>
    (await import('./run-up.ts')).runUp(options, environment),
  )
}
