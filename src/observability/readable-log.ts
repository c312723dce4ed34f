import { styleText } from 'node:util'

const levels: Readonly<Record<number, { name: string; color: 'gray' | 'blue' | 'yellow' | 'red' }>> = {
  10: { name: 'trace', color: 'gray' },
  20: { name: 'debug', color: 'gray' },
  30: { name: 'info', color: 'blue' },
  40: { name: 'warn', color: 'yellow' },
  50: { name: 'error', color: 'red' },
  60: { name: 'fatal', color: 'red' },
}

/**
 * A log record, as JSON, for a terminal: `12:00:01.250 warn  svid.refused: message  key=value`. What a component printed stands alone after
 * its name. Control characters of values are escaped, so that no guest can steer the terminal.
 */
export function formatLogRecord(line: string, { color }: { color: boolean }): string {
  let record: Record<string, unknown>
  try {
    record = JSON.parse(line)
  } catch {
    return line
  }
  const paint = (style: 'gray' | 'blue' | 'yellow' | 'red' | 'cyan', text: string): string =>
    color ? styleText(style, text, { validateStream: false }) : text
  const { level, time, event, msg, ...rest } = record
  const at = paint('gray', String(time).slice(11, 23))
  if (event === 'component.output') {
    return `${at} ${paint('cyan', `${printable(rest.component)} │`)} ${printable(msg)}\n`
  }
  const { name, color: levelColor } = levels[Number(level)] ?? { name: String(level), color: 'gray' }
  const attributes = Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([key, value]) => `${key}=${printable(typeof value === 'string' ? value : JSON.stringify(value))}`)
  const tail = attributes.length === 0 ? '' : `  ${paint('gray', attributes.join(' '))}`
  return `${at} ${paint(levelColor, name.padEnd(5))} ${printable(event)}: ${printable(msg)}${tail}\n`
}

/** Text without anything a terminal would obey. */
function printable(value: unknown): string {
  return String(value).replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
