import { type Command, Option } from 'commander'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { collectPairs } from './option-values.ts'

export const explainedParties = [
  'aws',
  'gcp',
  'azure',
  'vault',
  'minio',
  'keycloak',
  'kafka',
  'kubernetes',
  'nats',
  'oidc',
] as const

export type ExplainOptions = CommonOptions & {
  readonly for?: (typeof explainedParties)[number]
  readonly component?: string
  readonly audience?: string
  readonly issuer?: string
  readonly subject?: string
  readonly entries?: string
  readonly spireAdminSocket?: string
  readonly spireServerSocket?: string
  readonly lattice: string
  readonly environment?: string
  readonly label?: Readonly<Record<string, string>>
}

/** Added to the `identity` command, which must be there. */
export function addIdentityExplainCommand(program: Command, environment: CliEnvironment): void {
  const identity = program.commands.find((command) => command.name() === 'identity')
  if (identity === undefined) throw new TypeError('add the identity command first')
  const command = identity
    .command('explain')
    .summary('which identity a component gets, who accepts it, and why not')
    .description(
      'Says for a component what would be stated to SPIRE and where each fact comes from, which entries match, which SVID is chosen, and whether a relying party accepts it; if not, the one cause and the command that mends it. Asks SPIRE when an admin socket is known, else the herald dev of this user; changes nothing.',
    )
    .argument('<workload>', 'a manifest')
    .addOption(
      new Option('--for <party>', 'one relying party (default: those that its bindings and audiences lead to)').choices(
        explainedParties,
      ),
    )
    .option('--component <name>', 'which component of the manifest; needed when it has several')
    .option('--audience <audience>', 'with --for: the audience that the party expects')
    .option('--issuer <url>', 'the issuer that the party was told to trust, exactly')
    .option('--subject <id>', 'the subject that the party was told to trust; a prefix when it ends in *')
    .option('--entries <file>', 'what spire-server entry show -output json printed; - reads standard input')
    .option('--spire-admin-socket <path>', 'admin socket of the agent (default: $SPIRE_ADMIN_ENDPOINT_SOCKET)')
    .option(
      '--spire-server-socket <path>',
      'socket_path of the SPIRE server: read all entries and agents, and say why an entry does not reach this host',
    )
    .option('--lattice <name>', 'the lattice of the host that would run it', 'default')
    .option('--environment <name>', 'the environment of the host that would run it; none by default')
    .option('--label <key=value>', 'a label of the host that would run it; repeatable; none by default', collectPairs)
    .addHelpText(
      'after',
      `
Examples:
  herald identity explain workload.yaml --spire-admin-socket /run/spire/admin/admin.sock
  herald identity explain workload.yaml --spire-admin-socket /run/spire/admin/admin.sock --spire-server-socket /tmp/spire-server/private/api.sock
  herald identity explain workload.yaml --for aws --issuer https://oidc.example.org
  spire-server entry show -output json | herald identity explain workload.yaml --entries -

Exit codes: 0 nothing stands against it · 2 usage or manifest · 3 refused, by SPIRE or by a relying party · 4 SPIRE not reachable`,
    )
  addCommonOptions(command).action(async (workload: string, options: ExplainOptions) =>
    (await import('./run-identity-explain.ts')).runIdentityExplain(workload, options, environment),
  )
}
