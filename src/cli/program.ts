import { Command } from 'commander'
import { addAuditCommand } from './audit-command.ts'
import { addCompletionCommand } from './completion-command.ts'
import { addConfigCommand } from './config-command.ts'
import { addConsoleCommand } from './console-command.ts'
import { addDeployCommands } from './deploy-command.ts'
import { addDevCommand } from './dev-command.ts'
import type { CliEnvironment } from './environment.ts'
import { addGetCommands } from './get-command.ts'
import { addHostCommand } from './host-command.ts'
import { addIdentityExplainCommand } from './identity-explain-command.ts'
import { addIdentityCommand } from './identity-token-command.ts'
import { addInspectCommand } from './inspect-command.ts'
import { addLogsAndCallCommands } from './logs-command.ts'
import { addNatsCalloutCommand } from './nats-callout-command.ts'
import { addOciCommand } from './oci-command.ts'
import { yamlStream } from './output.ts'
import { addProjectCommands } from './project-commands.ts'
import { addTrustCommand } from './trust-command.ts'
import { addUpCommand } from './up-command.ts'
import { addVersionCommand, heraldVersion } from './version-command.ts'

/** The whole command line, without running it. */
export function createProgram(surroundings: CliEnvironment): Command {
  const stdout = yamlStream(surroundings.stdout)
  const environment: CliEnvironment = { ...surroundings, stdout }
  const { stderr, noColor } = environment
  const program = new Command('herald')
    .description('Hosts WebAssembly components and gives every one its own SPIFFE identity.')
    .version(heraldVersion(), '--version', 'print the version')
    // Needed all the way down to `host drain`, whose options `host` has too.
    .enablePositionalOptions()
    .hook('preAction', (_, command) => {
      const output: unknown = command.getOptionValue('output')
      if (output === 'yaml') {
        stdout.convert()
        command.setOptionValue('output', 'json')
      }
      const lists = command.options.some(({ short, long }) => short === '-o' && long === '--output')
      if (output === 'wide' && !lists) command.setOptionValue('output', 'text')
    })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      // Errors are thrown and reported in one place, with their code.
      outputError: () => {},
      getOutHelpWidth: () => Math.min(stdout.columns ?? 100, 120),
      getErrHelpWidth: () => Math.min(stderr.columns ?? 100, 120),
      getOutHasColors: () => stdout.isTTY === true && !noColor,
      getErrHasColors: () => stderr.isTTY === true && !noColor,
    })
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText(
      'after',
      `
Examples:
  herald dev build/api.wasm --audience sts.amazonaws.com    run a component on this machine
  herald host -f workload.yaml                              run workloads with identities of SPIRE
  herald inspect build/api.wasm                             whether this host runs it, and why not
  herald new c api && herald build api && herald dev api    begin a component
  herald up, herald deploy -f workload.yaml                 a lattice on this machine, and work for it

Exit codes of all commands:
  0 done   1 failed   2 usage, manifest or component   3 identity refused   4 peer or address not reachable   5 component failed
  130 and 143: ended at once by a second signal
Errors are printed as ERR_CODE: where: what — what to do. docs/errors.md lists the codes.

Environment: HERALD_CONTEXT, HERALD_NATS_URL, NO_COLOR, SPIFFE_ENDPOINT_SOCKET, SPIRE_ADMIN_ENDPOINT_SOCKET, XDG_CACHE_HOME,
XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_RUNTIME_DIR; an option on the command line wins.`,
    )
  addProjectCommands(program, environment)
  addDevCommand(program, environment)
  addUpCommand(program, environment)
  addHostCommand(program, environment)
  addDeployCommands(program, environment)
  addGetCommands(program, environment)
  addLogsAndCallCommands(program, environment)
  addAuditCommand(program, environment)
  addConsoleCommand(program, environment)
  addOciCommand(program, environment)
  addConfigCommand(program, environment)
  addInspectCommand(program, environment)
  addIdentityCommand(program, environment)
  addIdentityExplainCommand(program, environment)
  addTrustCommand(program, environment)
  addNatsCalloutCommand(program, environment)
  addCompletionCommand(program, environment)
  addVersionCommand(program, environment)
  return program
}
