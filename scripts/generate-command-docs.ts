// Writes docs/command.md from the command tree. A test fails when it has not been run after a change of a command.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { CliEnvironment } from '../src/cli/environment.ts'
import { createProgram } from '../src/cli/program.ts'

export const commandDocsPath = join(import.meta.dirname, '..', 'docs', 'command.md')

/** The whole of docs/command.md. */
export function commandDocs(): string {
  const program = createProgram(nowhere)
  const commands = everyCommand(program).filter((command) => command !== program)
  const overview = commands
    .filter((command) => command.commands.length === 0 || hasAction(command))
    .map((command) => `| [\`${pathOf(command)}\`](#${anchorOf(command)}) | ${cell(summaryOf(command))} |`)
  return `<!-- Generated from src/cli by scripts/generate-command-docs.ts: do not edit. -->
# The \`herald\` command

${program.description()} Errors and exit codes: [errors.md](errors.md). Options that commands share are listed with each.

| command | what for |
|---|---|
${overview.join('\n')}

${commands.map(section).join('\n')}`
}

/** Nothing is run: only the tree is read. */
const nowhere: CliEnvironment = {
  args: [],
  cwd: '/',
  stdout: { write: () => true },
  stderr: { write: () => true },
  noColor: true,
  inKubernetes: false,
  spireAdminSocket: undefined,
  runtimeDirectory: '/',
  natsUrls: undefined,
  context: undefined,
  contextsFile: '/',
  dataDirectory: '/',
}

function everyCommand(command: Command): Command[] {
  const children = command.createHelp().visibleCommands(command)
  return [command, ...children.filter((child) => child.name() !== 'help').flatMap(everyCommand)]
}

function section(command: Command): string {
  const help = command.createHelp()
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help')
  const children = help.visibleCommands(command).filter((child) => child.name() !== 'help')
  const after = examplesOf(command)
  return [
    `## ${pathOf(command)}`,
    '',
    command.description(),
    '',
    '```',
    help.commandUsage(command),
    '```',
    '',
    ...(children.length > 0 && !hasAction(command)
      ? [children.map((child) => `* [\`${pathOf(child)}\`](#${anchorOf(child)}): ${summaryOf(child)}`).join('\n'), '']
      : []),
    ...(command.registeredArguments.length > 0
      ? [
          '| argument | meaning |',
          '|---|---|',
          ...help
            .visibleArguments(command)
            .map((argument) => `| \`${help.argumentTerm(argument)}\` | ${cell(help.argumentDescription(argument))} |`),
          '',
        ]
      : []),
    ...(options.length > 0 && hasAction(command)
      ? [
          '| option | meaning |',
          '|---|---|',
          ...options.map((option) => `| \`${option.flags}\` | ${cell(help.optionDescription(option))} |`),
          '',
        ]
      : []),
    ...(after === '' ? [] : ['```', after, '```', '']),
  ].join('\n')
}

/** What `addHelpText('after', …)` adds: commander tells it to listeners of an event only. */
function examplesOf(command: Command): string {
  const parts: string[] = []
  const emitter = command as unknown as { emit(event: string, context: object): void }
  emitter.emit('afterHelp', { error: false, command, write: (part: string) => void parts.push(part) })
  return parts.join('').trim()
}

const hasAction = (command: Command): boolean =>
  (command as unknown as { _actionHandler: unknown })._actionHandler != null
const summaryOf = (command: Command): string => command.summary() || command.description()
const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
const anchorOf = (command: Command): string => pathOf(command).replaceAll(' ', '-')
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ')

if (import.meta.main) await writeFile(commandDocsPath, commandDocs())
