import type { TraceSource } from '../../observability/trace-context.ts'
import type { CellCapability, CellChannel } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import type {
  BrokerMessage,
  HandledBatch,
  MessageBatch,
  MessageRequest,
  MessagingAnswer,
  PublishedMessage,
} from './message-batch.ts'

type Publishing = PromiseWithResolvers<void> & { readonly message: PublishedMessage }

/** Calls at once to begin with, and how many more each turn; at most as many as a component has instances. */
const callsPerTurn = 4
const maxCalls = 64

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
    const handled: HandledBatch = { ids: new Float64Array(ids), failures }
    ids = []
    failures = []
    channel.tell!('handled', handled)
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

  /** Those that wait to be handled: of the first batch from `next` on. */
  const batches: MessageBatch[] = []
  let next = 0
  let from = 0
  let running = 0
  let widening = false

  /**
   * One call follows the other, on few instances that are warm. Only a handler that waits for something, so that a turn of the event loop
   * passes with messages left, gets more company.
   */
  function run(atMost: number): void {
    while (running < atMost && batches.length > 0) start()
    if (batches.length > 0 && !widening) {
      widening = true
      setImmediate(() => {
        widening = false
        run(Math.min(running + callsPerTurn, maxCalls))
      })
    }
  }

  function start(): void {
    const { firstId, idStep, ends, bytes, subjects, replies, traces } = batches[0]!
    const index = next++
    const id = firstId + index * idStep
    const end = ends[index]!
    const subject = typeof subjects === 'string' ? subjects : subjects[index]!
    const message: BrokerMessage = { subject, body: bytes.subarray(from, end), replyTo: replies?.[index] }
    const trace = traces?.[index]
    const within: TraceSource | undefined = trace && { trace }
    from = end
    if (next === ends.length) {
      batches.shift()
      next = 0
      from = 0
    }
    running += 1
    channel.callGuest!('wasmcloud:messaging/handler', 'handleMessage', [message], within && { within }).then(
      () => done(id),
      (error) => {
        failures.push([ids.length, reasonOf(error)])
        done(id)
      },
    )
  }

  function done(id: number): void {
    running -= 1
    ids.push(id)
    if (!scheduled) soon()
    if (batches.length > 0) start()
  }

  channel.onMessage((message) => {
    batches.push(message as MessageBatch)
    run(callsPerTurn)
  })

  return {
    prepare(instance) {
      const { signal } = instance
      return {
        'wasmcloud:messaging/types': {},
        'wasmcloud:messaging/consumer': {
          publish(message: BrokerMessage): Promise<void> {
            const { trace } = instance
            const published = trace === undefined ? message : { ...message, trace }
            const entry: Publishing = { ...Promise.withResolvers<void>(), message: published }
            publishing.push(entry)
            soon()
            return entry.promise
          },
          async request(subject: string, body: Uint8Array, timeoutMs: number): Promise<BrokerMessage> {
            let answer: MessagingAnswer<BrokerMessage>
            try {
              const request: MessageRequest = { subject, body, timeoutMs, trace: instance.trace }
              const asked = channel.request('request', request, { signal })
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
