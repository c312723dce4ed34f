import type { Command } from 'commander'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'

export function addInspectCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('inspect')
    .summary('what a component imports and exports, and whether this host runs it')
    .description(
      'Reads a component without running it: its imports and exports, which of them this host serves, what it refuses and why.',
    )
    .argument('<file>', 'a .wasm component')
    .addHelpText(
      'after',
      `
Examples:
  herald inspect build/api.wasm
  herald inspect build/api.wasm --output json | jq .refusals

Exit codes: 0 this host runs it · 2 it does not (the reasons are printed), or it is no component`,
    )
  addCommonOptions(command).action(async (file: string, options: CommonOptions) =>
    (await import('./run-inspect.ts')).runInspect(file, options, environment),
  )
}
