import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

const logs = new Map<string, string>()

/** What one program of the run wrote, kept in memory. */
export interface Log {
  readonly name: string
  append(text: string): void
  /** All that came so far. */
  text(): string
}

/**
 * A new log. With `HERALD_TEST_LOG_DIR` set it is also written to a file there, so that `npm test` can scan the logs of all test
 * files for tokens at its end. Give an in-process host's logger one too.
 */
export function startLog(name: string): Log {
  const key = `${name}-${process.pid}-${logs.size + 1}`
  const directory = process.env.HERALD_TEST_LOG_DIR
  const file = directory ? join(directory, `${key}.log`) : undefined
  if (directory) mkdirSync(directory, { recursive: true })
  logs.set(key, '')
  return {
    name,
    append(text) {
      logs.set(key, logs.get(key) + text)
      if (file !== undefined) appendFileSync(file, text)
    },
    text: () => logs.get(key) ?? '',
  }
}

/** Every log of this process so far, those of ended programs too, by a name that says whose it is. */
export function collectLogs(): ReadonlyMap<string, string> {
  return logs
}
