import { createLog, type Log } from '../observability/log.ts'
import { formatLogRecord } from '../observability/readable-log.ts'
import type { CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'

/**
 * The log of a command that serves, to standard error, as `--log-level`, `--log-format` and `--verbose` say.
 * @param onLine told every record too, as JSON.
 */
export function createCommandLog(
  options: CommonOptions,
  { stderr, noColor }: CliEnvironment,
  onLine: (line: string) => void = () => {},
): Log {
  const level = options.logLevel ?? (options.verbose ? 'debug' : 'info')
  const readable = options.logFormat === 'text' || (options.logFormat === 'auto' && stderr.isTTY === true)
  const color = stderr.isTTY === true && !noColor
  const shown = readable ? (line: string) => formatLogRecord(line, { color }) : (line: string) => line
  return createLog({
    level,
    destination: {
      write: (line) => {
        stderr.write(shown(line))
        onLine(line)
      },
    },
  })
}
