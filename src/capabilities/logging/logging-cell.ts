import type { CellCapability, CellChannel } from '../capability.ts'
import {
  type GuestLogBatch,
  type GuestLogLevel,
  type GuestLogLine,
  type LoggingCellConfig,
  logLevels,
  maxContextLength,
  maxMessageLength,
} from './logging-line.ts'

/**
 * `wasi:logging` in the cell. Calls return at once; lines go to the control thread together, once in a turn of the event loop. What is over
 * the rate is counted and dropped here, so that a guest in a loop costs the host nothing.
 */
export function openCapability(
  config: unknown,
  channel: CellChannel,
  nowMs: () => number = () => performance.now(),
): CellCapability {
  const { level: least, rate, burst } = config as LoggingCellConfig
  const leastIndex = logLevels.indexOf(least)
  const never = new AbortController().signal
  let lines: GuestLogLine[] = []
  let dropped = 0
  let tokens = burst
  let refilledAtMs = nowMs()
  let scheduled = false

  function flush(): void {
    scheduled = false
    const batch: GuestLogBatch = { lines, dropped }
    lines = []
    dropped = 0
    channel.request('lines', batch, { signal: never }).catch(() => {
      dropped += batch.lines.length + batch.dropped
    })
  }

  function log(level: GuestLogLevel, context: string, message: string): void {
    if (logLevels.indexOf(level) < leastIndex) return
    const now = nowMs()
    tokens = Math.min(burst, tokens + ((now - refilledAtMs) * rate) / 1000)
    refilledAtMs = now
    if (tokens >= 1) {
      tokens -= 1
      lines.push({ level, context: cut(context, maxContextLength), message: cut(message, maxMessageLength) })
    } else dropped += 1
    if (scheduled) return
    scheduled = true
    setImmediate(flush)
  }

  return { prepare: () => ({ 'wasi:logging/logging': { log } }) }
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1).toWellFormed()}…` : text
}
