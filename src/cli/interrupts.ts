import { HeraldError } from '../errors/herald-error.ts'

export interface Interrupts extends Disposable {
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal
}

/**
 * The first signal asks for a clean end; a second SIGINT or SIGTERM ends the process at once, with the exit code shells use for it.
 * @param onFirst told which signal came, to say so.
 */
export function listenForInterrupts(onFirst: (signal: NodeJS.Signals) => void): Interrupts {
  const first = new AbortController()
  const listener = (signal: NodeJS.Signals): void => {
    if (first.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    onFirst(signal)
    first.abort(new HeraldError('ERR_HOST_DRAINING', `ended by ${signal}`))
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, listener)
  return {
    signal: first.signal,
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, listener)
    },
  }
}
