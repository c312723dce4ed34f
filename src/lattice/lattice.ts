import type { TraceContext } from '../observability/trace-context.ts'
import type { KvBucket, KvBucketOptions } from './kv-bucket.ts'
import type { ObjectBucket, ObjectBucketOptions } from './object-bucket.ts'
import type { Subject, SubjectPattern } from './subjects.ts'

/** One named connection to NATS that outlives every server it was ever connected to. */
export interface Lattice extends AsyncDisposable {
  /** What it is for: `control`, `data`, `keyvalue cache`. Shown in logs and in NATS's own list of connections. */
  readonly name: string
  readonly state: LatticeState
  /** Called at every change; returns how to stop that. */
  onStateChange(listener: (state: LatticeState) => void): () => void
  /** Resolves once connected, at once if it is. @throws ERR_LATTICE_UNREACHABLE with the last reason when `signal` aborts first; ERR_LATTICE_CLOSED */
  connected(options: { signal: AbortSignal }): Promise<void>
  /**
   * Sends and forgets. While the connection is down a bounded amount is kept and sent once it is back.
   * @throws ERR_LATTICE_UNREACHABLE when nothing more is kept, ERR_LATTICE_PAYLOAD_TOO_LARGE, ERR_LATTICE_CLOSED
   */
  publish(subject: Subject, payload: Uint8Array, options?: PublishOptions): void
  /**
   * Asks and waits for one answer; at most once: after an error it is unknown whether the request arrived.
   * @throws ERR_LATTICE_TIMEOUT, ERR_LATTICE_NO_RESPONDERS, ERR_LATTICE_UNREACHABLE, ERR_LATTICE_PAYLOAD_TOO_LARGE, or the signal's reason
   */
  request(
    subject: Subject,
    payload: Uint8Array,
    options: { timeoutMs: number; signal?: AbortSignal; readonly trace?: TraceContext | undefined },
  ): Promise<Uint8Array>
  /**
   * Asks and takes every answer that comes: until none has come for `quietMs`, and at most `timeoutMs` long. Empty when nobody listens.
   * @throws ERR_LATTICE_UNREACHABLE, ERR_LATTICE_UNAUTHORIZED, or the signal's reason
   */
  requestMany(
    subject: Subject,
    payload: Uint8Array,
    options: { quietMs: number; timeoutMs: number; signal?: AbortSignal },
  ): Promise<readonly Uint8Array[]>
  /** Listens until disposed, through every reconnect. Messages that come while the connection is down are lost, as NATS core has it. */
  subscribe(pattern: SubjectPattern | Subject, options: SubscribeOptions): LatticeSubscription
  /**
   * A keyvalue bucket of JetStream; made when it is not there. It stays usable through every reconnect.
   * @throws ERR_LATTICE_STORAGE when JetStream refuses, ERR_LATTICE_NO_RESPONDERS when there is no JetStream, and as `request`
   */
  openKvBucket(name: string, options: KvBucketOptions & { signal: AbortSignal }): Promise<KvBucket>
  /** An object bucket of JetStream; `undefined` when there is none and none is to be made. @throws as `openKvBucket` */
  openObjectBucket(
    name: string,
    options: ObjectBucketOptions & { signal: AbortSignal },
  ): Promise<ObjectBucket | undefined>
  /** Ends the connection as it is and begins it anew with the credentials there are now: for credentials that count no more. */
  renew(): void
  /** Resolves when the server has everything that was sent before. */
  flush(options: { signal: AbortSignal }): Promise<void>
}

export type PublishOptions = {
  /** Where an answer is expected. While the connection is down such a message is not kept: whoever waits has given up by then. */
  readonly replyTo?: Subject
  /** What sends it, in its headers; lost with a message that is kept while the connection is down. */
  readonly trace?: TraceContext | undefined
}

export type LatticeState =
  | { readonly kind: 'connecting'; readonly lastError: string | undefined }
  | { readonly kind: 'connected'; readonly server: string }
  /** `lameDuck`: the server said it will end; the connection moves on by itself. */
  | { readonly kind: 'reconnecting'; readonly lastError: string | undefined }
  | { readonly kind: 'closed' }

export type SubscribeOptions = {
  /** Starts at once for each message, so many at a time. What it throws is logged; the subscription goes on. */
  readonly handle: (message: LatticeMessage) => Promise<void> | void
  /** Handlers at one time; beyond it messages go to `onOverload`. Default 1024. */
  readonly maxInFlight?: number
  /** Called instead of `handle` for messages beyond the limit. Default: dropped, with a log event. */
  readonly onOverload?: (message: LatticeMessage) => void
  /** Of the listeners of one queue group, one gets each message. */
  readonly queue?: string
  /** How a subject must begin for `reply` to answer there. Default `_`: inboxes of clients. */
  readonly replyPrefix?: string
}

export type LatticeMessage = {
  readonly subject: string
  readonly payload: Uint8Array
  /** Where whoever asks wants the answer: not to be trusted, it may be any subject. Use `reply`, or check it. */
  readonly replyTo: string | undefined
  /** Whether somebody waits for an answer. */
  readonly wantsReply: boolean
  /** Of the message's headers, by exact name; absent for a message that was not received from NATS. */
  readonly header?: (name: string) => string | undefined
  /** What its sender says that it belongs to; `undefined` for nothing, and for what is none. */
  readonly trace?: TraceContext | undefined
  /** Answers; nothing happens when nobody asked. @throws as {@link Lattice.publish} */
  reply(payload: Uint8Array): void
}

/** Disposal stops taking messages and waits for those in flight. */
export interface LatticeSubscription extends AsyncDisposable {
  readonly inFlight: number
}
