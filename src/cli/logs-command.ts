import type { Command } from 'commander'
import type { CliEnvironment } from './environment.ts'
import { addLatticeCommandOptions, type LatticeCommandOptions } from './lattice-command.ts'
import { collectPairs } from './option-values.ts'

export type LogsOptions = LatticeCommandOptions & { readonly follow?: true; readonly timestamps?: true }
export type CallOptions = LatticeCommandOptions & {
  readonly method: string
  readonly header?: Readonly<Record<string, string>>
  readonly data?: string
  readonly include?: true
}

export function addLogsAndCallCommands(program: Command, environment: CliEnvironment): void {
  const logs = program
    .command('logs')
    .summary('follow what components write')
    .description(
      'Prints lines of standard output and standard error of components, and what hosts say of their workloads, from now on. Hosts keep no lines: what was written before is in their own logs. Lines below the --log-level of a host are not sent.',
    )
    .argument('[workload]', 'NAME or NAMESPACE/NAME; all by default')
    .option('-f, --follow', 'go on until Ctrl-C; there is no other way yet, so this is required')
    .option('--timestamps', 'put the time before each line')
  addLatticeCommandOptions(logs).action(async (name: string | undefined, options: LogsOptions) =>
    (await import('./run-logs.ts')).runLogs(name, options, environment),
  )

  const call = program
    .command('call')
    .summary('send an HTTP request to a workload')
    .description(
      'Sends one HTTP request and prints the body. A workload is asked on a host that runs it, by the name it answers to; the host must be reachable from here.',
    )
    .argument('<target>', 'a URL, or a workload: NAME or NAMESPACE/NAME')
    .argument('[path]', 'path and query', '/')
    .option('-X, --method <name>', 'the method (default: GET, with --data POST)', '')
    .option('-H, --header <name=value>', 'a header of the request; repeatable', collectPairs)
    .option('-d, --data <text>', 'the body of the request')
    .option('-i, --include', 'print status and headers too, on standard error')
  addLatticeCommandOptions(call)
    .addHelpText(
      'after',
      '\nExit codes: 0 a status below 400 · 1 another status · 2 no such workload · 4 not reachable',
    )
    .action(async (target: string, path: string, options: CallOptions) =>
      (await import('./run-call.ts')).runCall(target, path, options, environment),
    )
}
