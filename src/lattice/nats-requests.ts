import { randomFillSync } from 'node:crypto'
import { createInbox, ErrorCode, type Msg, type MsgHdrs, type NatsConnection, NatsError, type Subscription } from 'nats'

export type NatsRequestOptions = {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  readonly headers?: MsgHdrs | undefined
}

type Pending = {
  readonly subject: string
  /** By `performance.now()`. */
  readonly endMs: number
  resolve(answer: Msg): void
  reject(reason: unknown): void
}

/** Bytes that nobody can guess in the subject of one answer: whoever answers another request must not be able to answer this one too. */
const tokenBytes = 12
/** Milliseconds that setTimeout can wait. */
const longestTimerMs = 2_147_483_647

/**
 * Requests over one connection of the client. One subscription takes all answers and one timer ends what has waited too long; the client's own
 * `request` makes a timer, three promises and an Error with its stack for each, which costs more than the message.
 */
export class NatsRequests {
  readonly #connection: NatsConnection
  readonly #inbox: string
  readonly #pending = new Map<string, Pending>()
  readonly #random = Buffer.alloc(tokenBytes * 256)
  #randomAt = this.#random.length
  #subscription: Subscription | undefined
  #timer: NodeJS.Timeout | undefined
  #timerEndMs = Number.POSITIVE_INFINITY

  /** @param inboxPrefix the connection's own. Default: the client's */
  constructor(connection: NatsConnection, inboxPrefix?: string) {
    this.#connection = connection
    this.#inbox = `${createInbox(inboxPrefix)}.`
  }

  /** One answer; at most once. @throws NatsError as the client's own `request`, or the signal's reason */
  request(subject: string, payload: Uint8Array, { timeoutMs, signal, headers }: NatsRequestOptions): Promise<Msg> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const token = this.#token()
      const endMs = performance.now() + timeoutMs
      if (signal === undefined) this.#pending.set(token, { subject, endMs, resolve, reject })
      else {
        const onAbort = (): void => {
          this.#pending.delete(token)
          reject(signal.reason)
        }
        signal.addEventListener('abort', onAbort)
        this.#pending.set(token, {
          subject,
          endMs,
          resolve(answer) {
            signal.removeEventListener('abort', onAbort)
            resolve(answer)
          },
          reject(reason) {
            signal.removeEventListener('abort', onAbort)
            reject(reason)
          },
        })
      }
      try {
        this.#subscription ??= this.#subscribe()
        const reply = this.#inbox + token
        this.#connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers })
      } catch (error) {
        this.#settle(token)?.reject(error)
        return
      }
      if (endMs < this.#timerEndMs) this.#endAt(endMs)
    })
  }

  /** The server did not let this user publish there: whoever asked learns it at once. */
  refused(subject: string): void {
    for (const [token, pending] of this.#pending) {
      if (pending.subject !== subject) continue
      this.#pending.delete(token)
      pending.reject(new NatsError(`Permissions Violation for Publish to "${subject}"`, ErrorCode.PermissionsViolation))
    }
  }

  /** The connection is gone: whether what was asked arrived, nobody knows. */
  close(): void {
    this.#rejectAll(() => NatsError.errorForCode(ErrorCode.Timeout))
    clearTimeout(this.#timer)
  }

  #subscribe(): Subscription {
    return this.#connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error !== null) {
          // Not allowed to listen there. The next request tries it anew.
          this.#subscription = undefined
          this.#rejectAll(() => error)
          return
        }
        const pending = this.#settle(message.subject.slice(this.#inbox.length))
        if (pending === undefined) return
        if (message.data.length === 0 && message.headers?.code === 503)
          pending.reject(NatsError.errorForCode(ErrorCode.NoResponders))
        else pending.resolve(message)
      },
    })
  }

  #settle(token: string): Pending | undefined {
    const pending = this.#pending.get(token)
    if (pending !== undefined) this.#pending.delete(token)
    return pending
  }

  #rejectAll(reason: () => NatsError): void {
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const each of pending) each.reject(reason())
  }

  #endAt(endMs: number): void {
    clearTimeout(this.#timer)
    this.#timerEndMs = endMs
    const waitMs = Math.min(Math.max(1, Math.ceil(endMs - performance.now())), longestTimerMs)
    this.#timer = setTimeout(() => this.#endLate(), waitMs)
  }

  #endLate(): void {
    this.#timerEndMs = Number.POSITIVE_INFINITY
    const nowMs = performance.now()
    let nextMs = Number.POSITIVE_INFINITY
    for (const [token, { endMs, reject }] of this.#pending) {
      if (endMs > nowMs) nextMs = Math.min(nextMs, endMs)
      else {
        this.#pending.delete(token)
        reject(NatsError.errorForCode(ErrorCode.Timeout))
      }
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#endAt(nextMs)
  }

  #token(): string {
    if (this.#randomAt === this.#random.length) {
      randomFillSync(this.#random)
      this.#randomAt = 0
    }
    const from = this.#randomAt
    this.#randomAt += tokenBytes
    return this.#random.toString('base64url', from, this.#randomAt)
  }
}
