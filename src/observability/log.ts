import { type Logger, pino } from 'pino'

/** A structured logger. Every record has `event`, a fixed dotted name; no record ever holds a token, key or secret. */
export type Log = Logger

export type LogOptions = {
  level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** Where records go, one JSON object a line. Default: standard error, so that standard output stays for results. */
  destination?: { write(line: string): void }
}

export function createLog({ level = 'info', destination = process.stderr }: LogOptions = {}): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}
