import { type Command, CommanderError } from 'commander'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { CliEnvironment } from './environment.ts'
import { InterruptedError } from './interrupts.ts'
import { reportError } from './report-error.ts'

/** Runs the command line to its end. @returns the exit code; errors have been reported. */
export async function runProgram(program: Command, environment: CliEnvironment): Promise<number> {
  try {
    await program.parseAsync([...environment.args], { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    if (error instanceof InterruptedError) return 130
    const known = toHeraldError(error, nameOf(program, environment.args))
    reportError(known, environment)
    return known.exitCode
  }
}

/** The command that `args` name, as one types it: `herald trust aws`. */
function nameOf(program: Command, args: readonly string[]): string {
  let command = program
  let name = program.name()
  for (const argument of args) {
    const next = command.commands.find((candidate) => candidate.name() === argument)
    if (next === undefined) continue
    command = next
    name += ` ${argument}`
  }
  return name
}

/** What is no HeraldError is a usage error of the command line, or a defect. @param command whose help the error names */
export function toHeraldError(error: unknown, command = 'herald'): HeraldError {
  if (isHeraldError(error)) return error
  if (error instanceof CommanderError) {
    if (error.code === 'commander.help') {
      return new HeraldError('ERR_USAGE', 'no command was given', { hint: `see: ${command} --help` })
    }
    const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n')
    const suggestion = rest.join(' ').replace(/^\((.*)\)$/, '$1')
    return new HeraldError('ERR_USAGE', first, { hint: suggestion === '' ? `see: ${command} --help` : suggestion })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new HeraldError('ERR_INTERNAL', message, {
    hint: 'this is a defect of Herald: run again with --verbose and report it',
    cause: error,
  })
}
