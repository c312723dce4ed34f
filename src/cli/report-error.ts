import { styleText } from 'node:util'
import type { HeraldError } from '../errors/herald-error.ts'
import { ManifestError } from '../manifest/manifest-error.ts'
import type { CliEnvironment } from './environment.ts'

/**
 * Writes an error to standard error: a line for a person, or with `--output json` or `yaml` one JSON object. The stack and the causes only with
 * `--verbose`. The arguments are read as they stand, because the error may be that they cannot be parsed.
 */
export function reportError(error: HeraldError, { args, stderr, noColor }: CliEnvironment): void {
  const json = args.some(
    (arg, index) =>
      /^(--output=|-o=?)(json|yaml)$/.test(arg) ||
      (/^(--output|-o)$/.test(arg) && /^(json|yaml)$/.test(args[index + 1] ?? '')),
  )
  const verbose = args.includes('--verbose')
  if (json) {
    const problems = error instanceof ManifestError ? { problems: error.problems.map(toJson) } : {}
    stderr.write(
      `${JSON.stringify({ error: { ...toJson(error), ...problems, ...(verbose && { stack: stackOf(error) }) } })}\n`,
    )
    return
  }
  const colored = stderr.isTTY === true && !noColor
  const text = error.describe()
  const shown = colored
    ? text.replace(/^ERR_[A-Z0-9_]+/gm, (code) => styleText('red', code, { validateStream: false }))
    : text
  stderr.write(`${shown}\n${verbose ? `${stackOf(error)}\n` : ''}`)
}

function toJson({ code, message, hint, where }: HeraldError): object {
  return { code, message, hint, where }
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}
