import type { LatticeMessage } from '../../lattice/lattice.ts'
import type { TraceContext } from '../../observability/trace-context.ts'
import type { MessageBatch } from './message-batch.ts'

export type TakenMessages = Pick<MessageBatch, 'ends' | 'bytes'> & {
  readonly subjects: readonly string[]
  readonly replies: readonly (string | undefined)[]
  /** Absent when none of them belongs to any. */
  readonly traces?: readonly (TraceContext | undefined)[]
}

const maxBatch = 512
const maxBatchBytes = 256 * 1024
const firstBytes = 4096

/**
 * Messages in the order they came, kept in the form in which they go to a cell: one that waits is no object of its own, and holds nothing of what
 * it was read from.
 */
export class WaitingMessages {
  readonly #batches: Batch[] = []
  #length = 0
  #byteLength = 0

  get length(): number {
    return this.#length
  }

  /** Of all bodies. */
  get byteLength(): number {
    return this.#byteLength
  }

  add(message: LatticeMessage): void {
    let last = this.#batches.at(-1)
    if (last === undefined || last.isFull) {
      last = new Batch()
      this.#batches.push(last)
    }
    last.add(message)
    this.#length += 1
    this.#byteLength += message.payload.length
  }

  /** Some of the first ones, at most so many, at least one; the others stay. There must be one. */
  take(atMost: number): TakenMessages {
    const first = this.#batches[0]!
    const whole = first.length <= atMost
    if (whole) this.#batches.shift()
    const taken = whole ? first.takeAll() : first.takeFirst(atMost)
    this.#length -= taken.ends.length
    this.#byteLength -= taken.bytes.length
    return taken
  }
}

class Batch {
  #subjects: string[] = []
  #replies: (string | undefined)[] = []
  #ends: number[] = []
  #traces: (TraceContext | undefined)[] | undefined
  #bytes = new Uint8Array(firstBytes)
  #end = 0

  get length(): number {
    return this.#ends.length
  }

  get isFull(): boolean {
    return this.length >= maxBatch || this.#end >= maxBatchBytes
  }

  add({ subject, payload, replyTo, trace }: LatticeMessage): void {
    const end = this.#end + payload.length
    if (end > this.#bytes.length) {
      this.#bytes = new Uint8Array(this.#bytes.buffer.transfer(Math.max(this.#bytes.length * 2, end)))
    }
    this.#bytes.set(payload, this.#end)
    this.#end = end
    this.#subjects.push(subject)
    this.#replies.push(replyTo)
    this.#ends.push(end)
    if (trace === undefined) this.#traces?.push(undefined)
    else {
      this.#traces ??= this.#ends.slice(1).map(() => undefined)
      this.#traces.push(trace)
    }
  }

  /** It is used up then. */
  takeAll(): TakenMessages {
    // No larger than what is in it: all of an ArrayBuffer goes to the cell.
    const bytes = new Uint8Array(this.#bytes.buffer.transfer(this.#end))
    const ends = new Uint32Array(this.#ends)
    return withTraces({ subjects: this.#subjects, replies: this.#replies, ends, bytes }, this.#traces)
  }

  takeFirst(count: number): TakenMessages {
    const subjects = this.#subjects.splice(0, count)
    const replies = this.#replies.splice(0, count)
    const ends = new Uint32Array(this.#ends.splice(0, count))
    const cut = ends.at(-1) ?? 0
    const bytes = this.#bytes.slice(0, cut)
    this.#bytes.copyWithin(0, cut, this.#end)
    this.#end -= cut
    this.#ends = this.#ends.map((end) => end - cut)
    return withTraces({ subjects, replies, ends, bytes }, this.#traces?.splice(0, count))
  }
}

function withTraces(taken: TakenMessages, traces: TakenMessages['traces']): TakenMessages {
  return traces === undefined ? taken : { ...taken, traces }
}
