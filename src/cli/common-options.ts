import { type Command, Option } from 'commander'

export type CommonOptions = {
  readonly output: 'text' | 'json'
  readonly verbose?: true
  readonly logLevel?: LogLevel
  readonly logFormat: 'auto' | 'text' | 'json'
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
type LogLevel = (typeof logLevels)[number]

/** `--output` and `--verbose`, which every command has. */
export function addCommonOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--output <format>',
        'how results are printed: text for people, json for programs (errors too, on standard error)',
      )
        .choices(['text', 'json'])
        .default('text'),
    )
    .option('--verbose', 'log at level debug, and show the stack and the causes of an error')
}

/** Options of commands that go on running and log. */
export function addLogOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--log-level <level>',
        'least level that is logged, to standard error (default: info, with --verbose debug)',
      ).choices(logLevels),
    )
    .addOption(
      new Option('--log-format <format>', 'auto is text on a terminal and json, one object a line, elsewhere')
        .choices(['auto', 'text', 'json'])
        .default('auto'),
    )
}
