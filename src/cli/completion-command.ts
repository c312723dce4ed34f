import { Argument, type Command } from 'commander'
import { type CommandWords, completionScript, type Shell, shells } from './completion-script.ts'
import type { CliEnvironment } from './environment.ts'

export function addCompletionCommand(program: Command, { stdout }: CliEnvironment): void {
  program
    .command('completion')
    .description('print a script that completes herald’s commands and options in a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(shells))
    .addHelpText(
      'after',
      `
Examples:
  herald completion bash > ~/.local/share/bash-completion/completions/herald
  herald completion zsh > "\${fpath[1]}/_herald"
  herald completion fish > ~/.config/fish/completions/herald.fish`,
    )
    .action((shell: Shell) => {
      stdout.write(completionScript(shell, wordsOf(program)))
    })
}

/** Every command with its path from the root, which is `[]`. */
function wordsOf(command: Command, path: readonly string[] = []): CommandWords[] {
  const help = command.createHelp()
  const children = help.visibleCommands(command)
  return [
    {
      path,
      commands: children.map((child) => ({ name: child.name(), summary: child.summary() || child.description() })),
      options: help
        .visibleOptions(command)
        .flatMap(({ long, description, argChoices, required, optional }) =>
          long == null
            ? []
            : [{ name: long, summary: description, choices: argChoices ?? [], takesValue: required || optional }],
        ),
      argumentChoices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    },
    ...children.filter((child) => child.name() !== 'help').flatMap((child) => wordsOf(child, [...path, child.name()])),
  ]
}
