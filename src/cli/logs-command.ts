import type { Command } from 'commander'
import type { CliEnvironment } from './environment.ts'
import { parseFunctionName } from './function-name.ts'
import { addLatticeCommandOptions, type LatticeCommandOptions } from './lattice-command.ts'
import { collectPairs, parseDurationMs } from './option-values.ts'

export type LogsOptions = LatticeCommandOptions & { readonly follow?: true; readonly timestamps?: true }
export type CallOptions = LatticeCommandOptions & {
  readonly method: string
  readonly header?: Readonly<Record<string, string>>
  readonly data?: string
  readonly include?: true
  /** Ms. */
  readonly timeout?: number
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
    .summary('call a function of a workload, or send it an HTTP request')
    .description(
      'With INTERFACE.FUNCTION, calls what a component exports, over the lattice: arguments are JSON, checked against the types of the component, and so is what is printed. Otherwise sends one HTTP request and prints the body. A workload is asked on a host that runs it, by the name it answers to; the host must be reachable from here.',
    )
    .argument('<target>', 'a URL, or a workload: NAME or NAMESPACE/NAME')
    .argument('[what]', 'path and query, or INTERFACE.FUNCTION: acme:ledger/accounts.balance', '/')
    .argument('[args...]', 'of a function: a JSON value for each parameter')
    .option('--timeout <duration>', 'of a function: how long it may take, such as 5s (default: 30s)', parseDurationMs)
    .option('-X, --method <name>', 'the method (default: GET, with --data POST)', '')
    .option('-H, --header <name=value>', 'a header of the request; repeatable', collectPairs)
    .option('-d, --data <text>', 'the body of the request')
    .option('-i, --include', 'print status and headers too, on standard error')
  addLatticeCommandOptions(call)
    .addHelpText(
      'after',
      `
Exit codes: 0 a status below 400, or a value · 1 another status, or the err of a function · 2 no such workload or function · 4 not reachable · 5 the component failed

Examples:
  herald call hello
  herald call bank acme:ledger/accounts.balance '"alice"'`,
    )
    .action(async (target: string, what: string, args: readonly string[], options: CallOptions) => {
      const called = parseFunctionName(what)
      if (called === undefined) await (await import('./run-call.ts')).runCall(target, what, options, environment)
      else await (await import('./run-call-function.ts')).runCallFunction(target, called, args, options, environment)
    })
}
