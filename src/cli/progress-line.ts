import type { CliEnvironment } from './environment.ts'

/** One line on standard error that is drawn over while something takes long; nothing where there is no terminal. */
export interface ProgressLine extends Disposable {
  update(receivedBytes: number, totalBytes: number): void
}

const width = 24
const leastMs = 80

export function progressLine(
  what: string,
  { stderr }: CliEnvironment,
  now: () => number = () => performance.now(),
): ProgressLine {
  if (stderr.isTTY !== true) return { update: () => {}, [Symbol.dispose]: () => {} }
  const startedMs = now()
  let drawnMs = Number.NEGATIVE_INFINITY
  let drawn = false
  return {
    update(received, total) {
      if (now() - drawnMs < leastMs && received < total) return
      drawnMs = now()
      drawn = true
      const part = total === 0 ? 1 : Math.min(1, received / total)
      const bar = '█'.repeat(Math.round(part * width)).padEnd(width, '░')
      const perSecond = received / Math.max(0.001, (drawnMs - startedMs) / 1_000)
      const text = `${what} ${bar} ${Math.round(part * 100)}% ${bytesText(received)} of ${bytesText(total)}, ${bytesText(perSecond)}/s`
      stderr.write(`\r\u001b[K${text.slice(0, (stderr.columns ?? 80) - 1)}`)
    },
    [Symbol.dispose]() {
      if (drawn) stderr.write('\r\u001b[K')
    },
  }
}

/** `8.5 KiB`, `13.2 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1_024) return `${Math.round(bytes)} B`
  return bytes < 2 ** 20 ? `${(bytes / 1_024).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
