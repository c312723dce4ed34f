import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock/clock.ts'
import type { Lattice } from '../lattice/lattice.ts'
import { auditSubject, parseSubjectToken, type SubjectToken } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import { type ActivityBook, createActivityBook } from './herald-activity-book.ts'
import { type AuditEvent, auditEvent, partsOfEvent, type SunkEvent, toAuditEvent } from './herald-audit-event.ts'
import { formatMessage } from './proto-json.ts'

/** The audit events of one host on their way to those who ask: a short memory, what they come to, and NATS. */
export interface AuditFeed extends AsyncDisposable {
  /** Of one of the sinks. Neither throws nor waits. @param area `identity`, `credentials`, `egress` or `calls` */
  add(area: string, sunk: SunkEvent): void
  /** The last ones, oldest first. @param since only those at or after it */
  recent(since: Date | undefined): readonly AuditEvent[]
  readonly activity: ActivityBook
  /**
   * Publishes those that come from now on, each at most once and in their order. While NATS is down or slow up to `maxQueued` wait; then
   * the oldest are dropped, and counted. Disposal sends what waits, for a second at most.
   */
  publishOn(lattice: Lattice): AsyncDisposable
  readonly counts: { readonly published: number; readonly dropped: number }
}

export type AuditFeedOptions = {
  readonly hostId: SubjectToken
  readonly clock: Clock
  readonly log: Log
  /** Default 1,000. */
  readonly maxRecent?: number
  /** Default 4,096. */
  readonly maxQueued?: number
}

/** Sent before the server is asked whether it has them: what is under way is bounded too. */
const batchSize = 128
const flushTimeoutMs = 5_000

export function createAuditFeed(options: AuditFeedOptions): AuditFeed {
  const { hostId, clock, log, maxRecent = 1_000, maxQueued = 4_096 } = options
  const run = randomBytes(8).toString('hex')
  const ring: AuditEvent[] = []
  const activity = createActivityBook()
  const queue: AuditEvent[] = []
  let sequence = 0
  let published = 0
  let dropped = 0
  let wake: (() => void) | undefined
  let publishing = false

  function enqueue(event: AuditEvent): void {
    if (queue.length >= maxQueued) {
      queue.shift()
      dropped += 1
    }
    queue.push(event)
    wake?.()
  }

  function send(lattice: Lattice, event: AuditEvent): void {
    const { area, kind } = partsOfEvent(event)
    const subject = auditSubject(hostId, parseSubjectToken(area, 'the area'), parseSubjectToken(kind, 'the kind'))
    try {
      lattice.publish(subject, formatMessage(auditEvent, event))
      published += 1
    } catch {
      // Refused or just disconnected: the sequence tells the readers.
      dropped += 1
    }
  }

  async function sendBatch(lattice: Lattice, signal: AbortSignal): Promise<void> {
    for (const event of queue.splice(0, batchSize)) send(lattice, event)
    // A server that does not keep up is not sent more: what comes meanwhile waits in the queue, which is bounded.
    const limit = AbortSignal.any([signal, AbortSignal.timeout(flushTimeoutMs)])
    await settled(lattice.flush({ signal: limit }), limit)
  }

  async function keepSending(lattice: Lattice, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (queue.length > 0 && lattice.state.kind === 'connected') {
        await sendBatch(lattice, signal)
        continue
      }
      await new Promise<void>((resolve) => {
        const end = (): void => {
          stopListening()
          signal.removeEventListener('abort', end)
          wake = undefined
          resolve()
        }
        const stopListening = lattice.onStateChange(({ kind }) => kind === 'connected' && queue.length > 0 && end())
        wake = () => lattice.state.kind === 'connected' && end()
        signal.addEventListener('abort', end)
        if (signal.aborted) end()
      })
    }
  }

  return {
    add(area, sunk) {
      try {
        sequence += 1
        const event = toAuditEvent(area, sunk, { hostId, run, sequence, atMs: clock.nowMs() })
        ring.push(event)
        if (ring.length > maxRecent) ring.shift()
        activity.add(event)
        if (publishing) enqueue(event)
      } catch (error) {
        log.error({ event: 'audit.failed', err: error }, 'an audit event could not be passed on')
      }
    },
    recent: (since) => (since === undefined ? [...ring] : ring.filter(({ at }) => at !== undefined && at >= since)),
    activity,
    publishOn(lattice) {
      if (publishing) throw new TypeError('the audit events of a host go to one NATS')
      publishing = true
      const ending = new AbortController()
      const sending = keepSending(lattice, ending.signal)
      return {
        async [Symbol.asyncDispose]() {
          publishing = false
          const untilMs = clock.nowMs() + 1_000
          while (queue.length > 0 && lattice.state.kind === 'connected' && clock.nowMs() < untilMs)
            await clock.sleep(20).catch(() => {})
          ending.abort(new Error('the host leaves NATS'))
          await sending
          dropped += queue.splice(0).length
        },
      }
    },
    get counts() {
      return { published, dropped }
    },
    async [Symbol.asyncDispose]() {
      queue.length = 0
      ring.length = 0
    },
  }
}

/** Waits for `work`, and no longer than the signal allows. */
async function settled(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      signal.removeEventListener('abort', end)
      resolve()
    }
    signal.addEventListener('abort', end)
    work.then(end, end)
    if (signal.aborted) end()
  })
}
