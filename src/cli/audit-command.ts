import { type Command, Option } from 'commander'
import type { CliEnvironment } from './environment.ts'
import { addLatticeCommandOptions, type LatticeCommandOptions } from './lattice-command.ts'
import { collect, parseDurationMs } from './option-values.ts'

export type AuditOptions = LatticeCommandOptions & {
  readonly follow?: true
  /** ms */
  readonly since?: number
  readonly kind?: readonly string[]
  readonly audience?: readonly string[]
  readonly host?: string
}

export function addAuditCommand(program: Command, environment: CliEnvironment): void {
  const audit = program
    .command('audit')
    .summary('what happened with identities: grants, refusals, exchanges, evictions')
    .description(
      'Prints the last audit events that the hosts of a lattice remember (1,000 each, since they started), and with -f those that come. No token is in any of them: tokenId is the beginning of its SHA-256. Whoever may publish on herald.audit.… can write events; the log of each host is the record.',
    )
    .argument('[workload]', 'NAME or NAMESPACE/NAME; all by default')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C; hosts that run with --no-audit-nats tell nothing')
    .addOption(
      new Option(
        '--since <duration>',
        'only events of the last 30s, 10m, 2h (default: all that is remembered; with -f: none)',
      ).argParser(parseDurationMs),
    )
    .option(
      '--kind <name>',
      'only these: granted, delivered, renewed, evicted, refused, exchanged, signed …, or with their area, such as egress.refused; repeatable',
      collect,
    )
    .option('--audience <text>', 'only events of this audience; repeatable', collect)
    .option('--host <name>', 'only events of this host or callout service, by its id or name')
  addLatticeCommandOptions(audit)
    .addHelpText(
      'after',
      `
Examples:
  herald audit -f
  herald audit api --since 10m --kind refused
  herald audit -f --audience sts.amazonaws.com --output json

What comes of a workload that is refused again and again is one event with a count. docs/audit.md has every field.
Exit codes: 0 printed, or ended by Ctrl-C · 2 usage · 4 NATS or the hosts cannot be reached`,
    )
    .action(async (workload: string | undefined, options: AuditOptions) =>
      (await import('./run-audit.ts')).runAudit(workload, options, environment),
    )
}
