import { Argument, type Command, Option } from 'commander'
import type { CliEnvironment } from './environment.ts'
import { addLatticeCommandOptions, type LatticeCommandOptions } from './lattice-command.ts'
import { parseDurationMs } from './option-values.ts'

export const listed = ['hosts', 'workloads', 'components'] as const
export type Listed = (typeof listed)[number]
export const described = ['host', 'workload'] as const
export type Described = (typeof described)[number]

export type GetOptions = LatticeCommandOptions & {
  readonly watch?: true
  readonly interval: number
  readonly namespace?: string
}

export function addGetCommands(program: Command, environment: CliEnvironment): void {
  const get = program
    .command('get')
    .summary('list what is on a lattice')
    .description(
      'Lists Herald hosts of the lattice, the workloads they run, or the components of those, as the hosts say themselves at this moment. Hosts that are not Herald are not asked: they have no answer to it.',
    )
    .addArgument(new Argument('<what>', 'what to list').choices(listed))
    .argument('[name]', 'only this host (id or name), or workload (NAME or NAMESPACE/NAME)')
    .option('-w, --watch', 'list it again whenever it changes, until Ctrl-C')
    .addOption(
      new Option('--interval <duration>', 'how often --watch asks').argParser(parseDurationMs).default(2_000, '2s'),
    )
    .option('-n, --namespace <name>', 'only workloads of this namespace; all by default')
  addLatticeCommandOptions(get).action(async (what: Listed, name: string | undefined, options: GetOptions) =>
    (await import('./run-get.ts')).runGet(what, name, options, environment),
  )

  const describe = program
    .command('describe')
    .summary('say all that is known of one host or workload')
    .description('Prints what a host says of itself and what it runs, or all replicas and components of a workload.')
    .addArgument(new Argument('<what>', 'of what').choices(described))
    .argument('<name>', 'a host (id, its first 8 characters, or name), or a workload (NAME or NAMESPACE/NAME)')
  addLatticeCommandOptions(describe).action(async (what: Described, name: string, options: LatticeCommandOptions) =>
    (await import('./run-get.ts')).runDescribe(what, name, options, environment),
  )
}
