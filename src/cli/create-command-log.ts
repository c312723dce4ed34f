import { createLog, type Log } from '../observability/log.ts'
import { formatLogRecord } from '../observability/readable-log.ts'
import type { CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'

/** The log of a command that serves, to standard error, as `--log-level`, `--log-format` and `--verbose` say. */
export function createCommandLog(options: CommonOptions, { stderr, noColor }: CliEnvironment): Log {
  const level = options.logLevel ?? (options.verbose ? 'debug' : 'info')
  const readable = options.logFormat === 'text' || (options.logFormat === 'auto' && stderr.isTTY === true)
  if (!readable) return createLog({ level, destination: { write: (line) => void stderr.write(line) } })
  const color = stderr.isTTY === true && !noColor
  return createLog({ level, destination: { write: (line) => void stderr.write(formatLogRecord(line, { color })) } })
}
