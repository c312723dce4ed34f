import type { CarriedTrace } from '../../observability/trace-context.ts'

/**
 * Messages from the control thread to a cell, all bodies in one piece of memory. What is the same for all is said once: each element of a list
 * costs both threads as much as some dozens of bytes.
 */
export type MessageBatch = {
  /** Of the first one; the others follow, each by `idStep` more. */
  readonly firstId: number
  readonly idStep: number
  /** Where each body ends in `bytes`. */
  readonly ends: Uint32Array
  readonly bytes: Uint8Array
  /** One: of all of them. */
  readonly subjects: string | readonly string[]
  /** Absent when nobody waits for an answer to any. */
  readonly replies?: readonly (string | undefined)[] | undefined
  /** What each of them belongs to, to be parsed; absent when that is not known of any. */
  readonly traces?: readonly (CarriedTrace | undefined)[] | undefined
}

/** From the cell to the control thread: these have been handled. */
export type HandledBatch = {
  readonly ids: Float64Array
  /** What went wrong, by the place of its id; the guest's own words, or the engine's. */
  readonly failures: readonly (readonly [index: number, reason: string])[]
}

/** `record broker-message`, as jco maps it. */
export type BrokerMessage = {
  readonly subject: string
  readonly body: Uint8Array
  readonly replyTo?: string | undefined
}

/** From the cell to the control thread. */
export type PublishedMessage = BrokerMessage & { readonly trace?: CarriedTrace | undefined }

export type MessageRequest = {
  readonly subject: string
  readonly body: Uint8Array
  readonly timeoutMs: number
  readonly trace?: CarriedTrace | undefined
}

/** The guest sees the text as its `err`. */
export type MessagingAnswer<T> = { readonly ok: T } | { readonly error: string }
