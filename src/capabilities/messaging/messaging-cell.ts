import type { CellCapability, CellChannel } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import type { BrokerMessage, HandledBatch, MessageBatch, MessagingAnswer } from './message-batch.ts'

type Publishing = PromiseWithResolvers<void> & { readonly message: BrokerMessage }

/** `wasmcloud:messaging` in the cell. Messages come in batches, and what is done or published in one turn of the event loop goes back together. */
export function openCapability(_config: unknown, channel: CellChannel): CellCapability {
  const never = new AbortController().signal
  let ids: number[] = []
  let failures: (readonly [number, string])[] = []
  let publishing: Publishing[] = []
  let scheduled = false

  const soon = (): void => {
    if (scheduled) return
    scheduled = true
    setImmediate(flush)
  }

  function flush(): void {
    scheduled = false
    if (publishing.length > 0) void publishAll(publishing)
    publishing = []
    if (ids.length === 0) return
    const handled: HandledBatch = { ids, failures }
    ids = []
    failures = []
    // Told again with the next ones when the host is too busy.
    channel.request('handled', handled, { signal: never }).catch(() => {
      failures = [
        ...handled.failures,
        ...failures.map(([index, reason]) => [index + handled.ids.length, reason] as const),
      ]
      ids = [...handled.ids, ...ids]
      setTimeout(soon, 10)
    })
  }

  async function publishAll(batch: readonly Publishing[]): Promise<void> {
    try {
      const messages = batch.map(({ message }) => message)
      const answers = (await channel.request('publish', messages, { signal: never })) as MessagingAnswer<undefined>[]
      for (const [index, { resolve, reject }] of batch.entries()) {
        const answer = answers[index]
        if (answer !== undefined && 'error' in answer) reject(new GuestFailure(answer.error))
        else resolve()
      }
    } catch (error) {
      for (const { reject } of batch) reject(busy(error))
    }
  }

  channel.onMessage((message) => {
    const batch = message as MessageBatch
    let from = 0
    for (const [index, id] of batch.ids.entries()) {
      const end = batch.ends[index]!
      const args = [
        { subject: batch.subjects[index]!, body: batch.bytes.subarray(from, end), replyTo: batch.replies[index] },
      ]
      from = end
      channel.callGuest!('wasmcloud:messaging/handler', 'handleMessage', args).then(
        () => {
          ids.push(id)
          soon()
        },
        (error) => {
          failures.push([ids.length, reasonOf(error)])
          ids.push(id)
          soon()
        },
      )
    }
  })

  return {
    prepare({ signal }) {
      return {
        'wasmcloud:messaging/types': {},
        'wasmcloud:messaging/consumer': {
          publish(message: BrokerMessage): Promise<void> {
            const entry: Publishing = { ...Promise.withResolvers<void>(), message }
            publishing.push(entry)
            soon()
            return entry.promise
          },
          async request(subject: string, body: Uint8Array, timeoutMs: number): Promise<BrokerMessage> {
            let answer: MessagingAnswer<BrokerMessage>
            try {
              const asked = channel.request('request', [subject, body, timeoutMs], { signal })
              answer = (await asked) as MessagingAnswer<BrokerMessage>
            } catch (error) {
              signal.throwIfAborted()
              throw busy(error)
            }
            if ('error' in answer) throw new GuestFailure(answer.error)
            return answer.ok
          },
        },
      }
    },
  }
}

function busy(cause: unknown): GuestFailure {
  return new GuestFailure('the host could not be asked: try again', { cause })
}

/** The guest's own `err`, or what ended the call. */
function reasonOf(error: unknown): string {
  const payload = (error as { payload?: unknown } | null)?.payload
  if (typeof payload === 'string') return payload.slice(0, 300).toWellFormed()
  return (error instanceof Error ? error.message : String(error)).slice(0, 300)
}
