import { HeraldError } from '../errors/herald-error.ts'

export interface Interrupts extends Disposable {
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal
  /** Asks for a clean end as a first signal does. */
  end(why: string): void
}

/**
 * A signal within this time of the first, ms, is the same request to end: Ctrl-C in a terminal, and the SIGTERM of a service manager to a
 * whole group, come once directly and once more from bin/herald.js, which passes on what it gets.
 */
const sameRequestMs = 500

/**
 * The first signal asks for a clean end; another one, half a second later or more, ends the process at once, with the exit code shells use
 * for it. @param onFirst told which signal came, to say so.
 */
export function listenForInterrupts(onFirst: (signal: NodeJS.Signals) => void): Interrupts {
  const first = new AbortController()
  let firstMs = Number.NEGATIVE_INFINITY
  const listener = (signal: NodeJS.Signals): void => {
    if (performance.now() - firstMs < sameRequestMs) return
    if (first.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    firstMs = performance.now()
    onFirst(signal)
    first.abort(new HeraldError('ERR_HOST_DRAINING', `ended by ${signal}`))
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, listener)
  return {
    signal: first.signal,
    end: (why) => first.abort(new HeraldError('ERR_HOST_DRAINING', why)),
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, listener)
    },
  }
}

/** A command was ended by Ctrl-C before it was done: nothing more is to be said, and the exit code is the shells' own, 130. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError'
}
