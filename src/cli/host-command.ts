import { type Command, Option } from 'commander'
import type { CellIsolation } from '../engine/engine.ts'
import { addCommonOptions, addLogOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { healthOption } from './health-option.ts'
import { addHostDrainCommand } from './host-drain-command.ts'
import type { LatticeHostOptions } from './lattice-host.ts'
import { addNatsCredentialOptions } from './nats-options.ts'
import { addNatsSvidTlsOptions, type NatsSvidOptions } from './nats-svid-options.ts'
import {
  collect,
  collectPairs,
  type ListenAddress,
  parseCount,
  parseDurationMs,
  parseIdleTimeoutMs,
  parseListenAddress,
  parseMebibytes,
  parseMillicores,
} from './option-values.ts'
import { type RegistryOptions, registryIdentityOption } from './registry-options.ts'
import { otlpEndpointOption, type TelemetryOptions } from './telemetry-option.ts'
import type { PullSecretsOptions } from './workload-pull-secrets.ts'

export type HostCommandOptions = CommonOptions &
  TelemetryOptions &
  NatsSvidOptions &
  Omit<LatticeHostOptions, 'nats'> &
  RegistryOptions &
  PullSecretsOptions & {
    readonly file?: readonly string[]
    readonly nats?: readonly string[]
    readonly hostId?: string
    readonly hostgroup: string
    readonly spireAdminSocket?: string
    readonly http: ListenAddress
    readonly artifactCache?: string
    readonly health?: ListenAddress
    readonly lattice: string
    readonly label?: Readonly<Record<string, string>>
    readonly allowHostPath?: readonly string[]
    readonly allowListen?: readonly string[]
    readonly memoryLimit?: number
    readonly cpuLimit?: number
    readonly requestTimeout?: number
    readonly idleTimeout?: number
    readonly isolation?: CellIsolation
    readonly warmCells?: number
    readonly drainTimeout: number
    readonly drainDelay: number
  }

export function addHostCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('host')
    .summary('run workloads with identities of SPIRE')
    .description(
      "Runs the workloads of manifests, each component with the SVIDs that SPIRE issues for exactly it. Speaks to the admin socket of the agent on this machine; the host's own SPIFFE ID must be among the agent's authorized_delegates.",
    )
    .option(
      '--config <file>',
      'a YAML file with options of this command, by their names in camelCase (default: $HERALD_HOST_CONFIG); see below',
    )
    .option(
      '-f, --file <manifest>',
      'a manifest of WorkloadDeployments or Workloads; repeatable; needed unless --nats is given',
      collect,
    )
    .option(
      '--spire-admin-socket <path>',
      'admin_socket_path of the SPIRE agent (default: $SPIRE_ADMIN_ENDPOINT_SOCKET); it need not be there yet',
    )
    .option(
      '--spire-workload-socket <path>',
      "the agent's Workload API socket (default: $SPIFFE_ENDPOINT_SOCKET): for this host's own SVIDs, and to name its SPIFFE ID in errors",
    )
    .addOption(
      new Option(
        '--http <address>',
        'where HTTP is served; loopback by default: put :8000 for all addresses, as in a pod',
      )
        .argParser(parseListenAddress)
        .default({ host: '127.0.0.1', port: 8000 }, '127.0.0.1:8000'),
    )
    .addOption(healthOption())
    .option(...otlpEndpointOption)
    .option('--lattice <name>', 'the lattice selector of every component on this host', 'default')
    .option('--environment <name>', 'the environment selector, and what a manifest may ask for; none by default')
    .option(
      '--label <key=value>',
      'a label of this host, for hostSelector and the host-label selectors; repeatable; none by default',
      collectPairs,
    )
    .optionsGroup('Lattice:')
    .option(
      '--nats <url>',
      'NATS of the lattice, such as nats://nats:4222 or tls://…: the host then takes its work from the operator; repeatable for the servers of a cluster; it need not be up yet',
      collect,
    )
  addNatsCredentialOptions(command)
    .option(
      '--nats-svid',
      "authenticate with this host's own JWT-SVID, for a server with auth callout: herald nats-callout; renewed by itself",
    )
    .option('--nats-audience <audience>', 'audience of that JWT-SVID, as the callout wants it (default: nats)')
  addNatsSvidTlsOptions(command)
    .option(
      '--host-id <token>',
      'id of this host on the lattice: letters, digits, - and _; never the same for two hosts (default: a new UUID)',
    )
    .option(
      '--friendly-name <name>',
      "name of this host's Host object; a DNS-1123 name, never the same for two hosts (default: herald- and the id's first 8 characters)",
    )
    .option(
      '--hostname <address>',
      'address of this machine as the operator knows it (default: in Kubernetes the address of the pod, else the host name)',
    )
    .option(
      '--hostgroup <name>',
      "value of the label hostgroup, upstream's way to say what a host is for; stated with --nats only",
      'default',
    )
    .addOption(
      new Option(
        '--orphan-after <duration>',
        'a workload whose status the operator has not asked for so long, while it goes on asking for heartbeats, is ended: its stop got lost. Or never (default: 10m)',
      ).argParser(parseIdleTimeoutMs),
    )
    .addOption(
      new Option(
        '--stop-delay <duration>',
        'how long a workload takes requests after the operator has stopped it: endpoints of its Service change only then (default: 3s)',
      ).argParser(parseDurationMs),
    )
    .option(
      '--no-audit-nats',
      'do not publish what happens with identities on herald.audit.…: the log has it in any case, and herald audit shows what the host remembers',
    )
    .optionsGroup('Images:')
    .option(
      '--image-cache <directory>',
      'where pulled images are kept; hosts of one user may share it (default: ~/.cache/herald/images)',
    )
    .addOption(
      new Option('--image-cache-size <MiB>', 'the least recently used go beyond it (default: 4096)').argParser(
        parseMebibytes,
      ),
    )
    .option(
      '--artifact-cache <directory>',
      "where transpiled components are kept, so that the next start need not transpile them; what is written there runs in cells, so it must be this user's alone; none by default",
    )
    .option(
      '--pull-secrets <directory>',
      'what imagePullSecret names in manifests of -f: NAME/.dockerconfigjson or NAME.json in this directory; over the lattice the operator sends what it read; none by default',
    )
    .option(
      '--plain-http-registry <host>',
      'a registry, host[:port], spoken to without TLS; repeatable; loopback always is',
      collect,
    )
    .option(
      '--registry-mirror <registry=host>',
      'registries asked before another, several with commas; repeatable; they never get the credentials of a workload',
      collectPairs,
    )
    .option(...registryIdentityOption)
    .optionsGroup('Options:')
    .option(
      '--allow-host-path <directory>',
      'directories under which hostPath volumes may stand; repeatable; none by default',
      collect,
    )
    .option(
      '--allow-listen <address>',
      'where workloads may listen for HTTP themselves, by listen of a herald:cell entry: ADDRESS:PORT, PORT (on 127.0.0.1) or :PORT (on all addresses), a range such as 9000-9099 in place of a port, several with commas; repeatable; none by default',
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
        '--cpu-limit <millicores>',
        'most that a workload may use of a processor, thousandths, from 10 to 1000; beyond, its requests wait, and too many are answered 503. An entry herald:cell of the workload may say less (default: as much as there is)',
      ).argParser(parseMillicores),
    )
    .addOption(
      new Option(
        '--request-timeout <duration>',
        'longest time from a request to the end of its response; then its instance is thrown away (default: 30s)',
      ).argParser(parseDurationMs),
    )
    .addOption(
      new Option(
        '--idle-timeout <duration>',
        'a workload without a request for so long gives its thread back (about 25 MiB); its next request waits 15 to 100 ms for another. Or never. An entry herald:cell of the workload goes before (default: 5m)',
      ).argParser(parseIdleTimeoutMs),
    )
    .addOption(
      new Option(
        '--isolation <kind>',
        'what separates workloads from the host and from each other: thread, or process, one of the operating system for each cell, with no permission that its workload was not granted (about 35 MiB each). An entry herald:cell of the workload may ask for a process too (default: thread)',
      ).choices(['thread', 'process'] satisfies CellIsolation[]),
    )
    .addOption(
      new Option(
        '--warm-cells <number>',
        'idle workloads beyond so many give their threads back before their time, those without any request yet first, so that a host can have many more workloads than threads (default: 32)',
      ).argParser(parseCount),
    )
    .addOption(
      new Option(
        '--drain-timeout <duration>',
        'how long requests in flight may go on after SIGTERM; keep it below terminationGracePeriodSeconds (30s by default)',
      )
        .argParser(parseDurationMs)
        .default(20_000, '20s'),
    )
    .addOption(
      new Option(
        '--drain-delay <duration>',
        'how long new requests are still taken after SIGTERM, while the host is not ready and gets no new workloads: for those who have not heard yet. In a pod: 5s, instead of a preStop hook',
      )
        .argParser(parseDurationMs)
        .default(0, '0s'),
    )
    .addHelpText(
      'after',
      `
Examples:
  herald host -f workload.yaml --spire-admin-socket /run/spire/admin/admin.sock
  herald host -f a.yaml -f b.yaml --http :8000 --label hostgroup=default --environment team-a
  herald host --nats nats://nats:4222 --hostgroup default --http :8000
  herald host --config /etc/herald/host.yaml

Every option but --output can stand in the YAML file of --config too, by its name in camelCase (drainTimeout: 20s; nats: [nats://nats:4222];
label: {zone: a}), and in a variable, in capitals after HERALD_HOST_ (HERALD_HOST_DRAIN_TIMEOUT=20s; several values with spaces between them).
The command line goes before a variable, a variable before the file, the file before the default. What is unknown is an error.

A workload that cannot be served is reported, and the others are; it exits at once only when none can be, or a manifest has mistakes.
SIGTERM or Ctrl-C drains: new requests are answered 503, those in flight finish, then it exits with 0; a second one ends it at once.
Exit codes: 0 drained, or all ran to completion · 2 usage, manifest or component · 3 identity refused · 4 the address is in use · 5 a component failed`,
    )
  // Else `host` would take the options of `host drain` for its own.
  command.enablePositionalOptions()
  addHostDrainCommand(command, environment)
  addLogOptions(addCommonOptions(command)).action(async () => {
    await (await import('./host-settings.ts')).applyHostSettings(command, environment)
    await (await import('./run-host.ts')).runHost(command.opts<HostCommandOptions>(), environment)
  })
}
