import { type Command, Option } from 'commander'

export type CommonOptions = {
  /** `yaml` has become `json` by now, and `wide` `text`: see {@link createProgram}. */
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
        'how results are printed: text for people, json or yaml for programs (errors as JSON, on standard error); wide is text where there is no more to show',
      )
        .choices(['text', 'wide', 'json', 'yaml'])
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
