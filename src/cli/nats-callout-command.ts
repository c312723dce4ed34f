import type { Command } from 'commander'
import type { NatsOptions } from '../config/contexts.ts'
import { addCommonOptions, addLogOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { healthOption } from './health-option.ts'
import { addNatsSvidTlsOptions, type NatsSvidOptions } from './nats-svid-options.ts'
import { collect, type ListenAddress } from './option-values.ts'
import { otlpEndpointOption } from './telemetry-option.ts'

export type NatsCalloutOptions = CommonOptions &
  Omit<NatsOptions, 'nats'> &
  NatsSvidOptions & {
    readonly nats: readonly string[]
    readonly policy: string
    readonly keys: string
    readonly spireServerSocket?: string
    readonly health?: ListenAddress
    readonly otlpEndpoint?: string
    /** Whether decisions are told on NATS. Default: true. */
    readonly auditNats?: boolean
  }

export type NatsCalloutKeysOptions = CommonOptions & {
  readonly account: readonly string[]
  readonly timeout: string
  readonly systemAccount?: string
}

export function addNatsCalloutCommand(program: Command, environment: CliEnvironment): void {
  const callout = program
    .command('nats-callout')
    .summary('let workloads into NATS by their SVIDs')
    .description(
      'The auth callout service of nats-server 2.10 and later: no client holds a secret. Each shows a JWT-SVID as its token, or an X.509-SVID in mutual TLS; the service verifies it with the bundles of SPIRE and answers with what a policy file grants to exactly that SPIFFE ID, until the SVID expires.',
    )
    .addHelpText(
      'after',
      `
Examples:
  herald nats-callout keys /etc/herald-callout --account HERALD > nats-auth.conf
  herald nats-callout serve --keys /etc/herald-callout --policy policy.yaml --nats nats://nats:4222`,
    )
  const serve = callout
    .command('serve')
    .summary('answer for a NATS server whom it lets in')
    .description(
      'Serves until SIGTERM. Several may run at once: NATS asks one of them. The policy is read again when its file changes; one with a mistake is reported, and the one before stays.',
    )
    .requiredOption('--policy <file>', 'who may connect, and to which subjects: docs/federation/nats.md')
    .requiredOption('--keys <directory>', 'with issuer.nk, user.nk and xkey.nk, as herald nats-callout keys makes them')
    .requiredOption(
      '--nats <url>',
      'the NATS server; repeatable for the servers of a cluster; it need not be up',
      collect,
    )
    .option(
      '--spire-workload-socket <path>',
      'Workload API of the SPIRE agent (default: $SPIFFE_ENDPOINT_SOCKET): where trust bundles come from; this process needs an entry of its own',
    )
    .option(
      '--spire-server-socket <path>',
      'the API socket of the SPIRE server: whose entry is deleted there is refused and has its connections ended within a second or two, although its SVID is valid. Needs system.nk in --keys. Off by default: connections then end with their SVIDs',
    )
    .option('--nats-ca <path>', "PEM of the authorities to trust for NATS (default: the system's)")
    .option('--nats-tls-first', 'TLS before the greeting, for servers with handshake_first')
  addNatsSvidTlsOptions(serve)
    .addOption(healthOption())
    .option(...otlpEndpointOption)
    .option(
      '--no-audit-nats',
      'do not tell on herald.audit.… whom it lets in, even if the policy grants that to its own SPIFFE ID (as: callout): the log has it in any case',
    )
  serve.addHelpText('after', '\nExit codes: 0 ended by a signal · 2 usage, policy or keys')
  addLogOptions(addCommonOptions(serve)).action(async (options: NatsCalloutOptions) =>
    (await import('./run-nats-callout.ts')).runNatsCallout(options, environment),
  )
  const keys = callout
    .command('keys')
    .summary('make the keys of the service, and print what nats-server must be told')
    .argument('<directory>', 'where the seeds go, readable by their owner only; those that are there stay')
    .requiredOption('--account <name>', 'an account that grants may name; repeatable', collect)
    .option('--timeout <seconds>', 'how long nats-server waits for an answer', '2')
    .option(
      '--system-account <name>',
      'makes system.nk too, a user of this system account of NATS that may list connections and end them: for --spire-server-socket',
    )
    .description(
      'Makes three seeds: issuer.nk signs what clients may do, user.nk is how the service itself logs in, xkey.nk encrypts what the server asks. Prints a piece of configuration for nats-server with their public keys.',
    )
    .addHelpText('after', '\nExit codes: 0 printed · 2 usage, or a file cannot be written or holds another key')
  addCommonOptions(keys).action(async (directory: string, options: NatsCalloutKeysOptions) =>
    (await import('./run-nats-callout-keys.ts')).runNatsCalloutKeys(directory, options, environment),
  )
}
