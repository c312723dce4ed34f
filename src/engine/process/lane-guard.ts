import { Lane, type ToCell, type ToIngress, windowBytes } from '../http-channel.ts'

/** What a process may have sent beyond its window: one write that began within it. */
const slackBytes = 1024 * 1024
const errorCode = /^ERR_[A-Z_]{1,60}$/
const longestReason = 1_000

type Open = { headed: boolean; unacknowledged: number; creditable: number }

/**
 * Stands on a lane between an ingress thread, which takes a cell's word, and a process, which may have become its guest's: passes on what a cell
 * would say at that point. What comes after a request's end is left out, as it may have been on its way.
 */
export class LaneGuard {
  readonly #requests = new Map<number, Open>()

  /** Watches what the ingress says. */
  sent(batch: readonly ToCell[]): void {
    for (const message of batch) {
      const id = message[1]
      if (message[0] === Lane.request) {
        this.#requests.set(id, { headed: false, unacknowledged: 0, creditable: message[7]?.byteLength ?? 0 })
        continue
      }
      const request = this.#requests.get(id)
      if (request === undefined) continue
      if (message[0] === Lane.abort) this.#requests.delete(id)
      else if (message[0] === Lane.data) request.creditable += message[2].byteLength
      else if (message[0] === Lane.credit) request.unacknowledged -= message[2]
    }
  }

  /** @returns what of it goes on. @throws TypeError on what no cell says */
  received(batch: unknown): ToIngress[] {
    if (!Array.isArray(batch)) throw new TypeError('a batch that is no list')
    return batch.filter((message: unknown): message is ToIngress => this.#passes(message))
  }

  #passes(message: unknown): boolean {
    if (!Array.isArray(message)) throw new TypeError('a message that is no list')
    const [kind, id] = message
    const request = this.#requests.get(id)
    if (request === undefined) return false
    switch (kind) {
      case Lane.head: {
        const [, , status, headers, body, ended, trailers] = message
        check(!request.headed && Number.isInteger(status) && status >= 100 && status <= 999 && isTexts(headers))
        check(body === undefined || typeof body === 'string' || body instanceof Uint8Array)
        check(typeof ended === 'boolean' && (trailers === undefined || isTexts(trailers)))
        request.headed = true
        this.#count(request, body?.length ?? 0)
        if (ended) this.#requests.delete(id)
        return true
      }
      case Lane.data:
        check(request.headed && message[2] instanceof Uint8Array)
        this.#count(request, message[2].byteLength)
        return true
      case Lane.end:
        check(request.headed && (message[2] === undefined || isTexts(message[2])))
        this.#requests.delete(id)
        return true
      case Lane.fail: {
        const [, , status, code, reason] = message
        check(!request.headed && Number.isInteger(status) && status >= 400 && status <= 599)
        check(typeof code === 'string' && errorCode.test(code) && isReason(reason))
        this.#requests.delete(id)
        return true
      }
      case Lane.reset:
        check(request.headed && isReason(message[2]))
        this.#requests.delete(id)
        return true
      case Lane.credit:
        check(Number.isInteger(message[2]) && message[2] > 0 && message[2] <= request.creditable)
        request.creditable -= message[2]
        return true
      default:
        throw new TypeError('a message of no known kind')
    }
  }

  #count(request: Open, bytes: number): void {
    request.unacknowledged += bytes
    check(request.unacknowledged <= windowBytes + slackBytes)
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length % 2 === 0 && value.every((text) => typeof text === 'string')
}

function isReason(value: unknown): value is string {
  return typeof value === 'string' && value.length <= longestReason
}

function check(holds: boolean): asserts holds {
  if (!holds) throw new TypeError('a message that no cell sends at that point')
}
