import type { Clock } from '../../clock/clock.ts'
import type { HeraldError } from '../../errors/herald-error.ts'

export type StreamNews<Message> =
  | { readonly kind: 'message'; readonly message: Message }
  /** It broke, and is opened again. */
  | { readonly kind: 'interrupted'; readonly error: HeraldError }

/** The messages of a stream that is opened again, with growing pauses, whenever it ends or breaks. Ends when the signal aborts. */
export async function* reopenedStream<Message>(
  open: () => AsyncIterable<Message>,
  {
    clock,
    signal,
    translate,
  }: { readonly clock: Clock; readonly signal: AbortSignal; readonly translate: (cause: unknown) => HeraldError },
): AsyncGenerator<StreamNews<Message>> {
  let failures = 0
  while (!signal.aborted) {
    try {
      for await (const message of open()) {
        failures = 0
        yield { kind: 'message', message }
      }
    } catch (cause) {
      yield { kind: 'interrupted', error: translate(cause) }
    }
    failures += 1
    // Spread, since all components' streams break in the same moment.
    const pauseMs = Math.min(50 * 2 ** failures, 2_000) * (0.5 + Math.random())
    await clock.sleep(pauseMs, { signal }).catch(() => {})
  }
}
