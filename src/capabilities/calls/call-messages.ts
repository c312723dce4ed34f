import type { CarriedTrace } from '../../observability/trace-context.ts'
import type { WitFunction } from '../../wit/wit-type.ts'
import type { PackedBodies } from '../packed-bodies.ts'
import type { CallRefusal } from './call-frame.ts'

/** What a component's cell knows of the interfaces that it calls, and is called by. */
export type CallsCellConfig = {
  readonly imports: readonly CalledInterface[]
  readonly exports: readonly CalledInterface[]
}

/** `name` with version. `label`: what the component calls it, if it imports it under one of its own. */
export type CalledInterface = {
  readonly name: string
  readonly label?: string
  readonly functions: readonly WitFunction[]
}

/**
 * From the cell, all of one turn of its event loop. `cancelled`: ids of calls whose caller no longer waits. `bodies`: `args` of the calls, then
 * `bytes` of what has ended without refusal.
 */
export type FromCell = {
  readonly calls: readonly Omit<OutgoingCall, 'args'>[]
  readonly cancelled: readonly number[]
  readonly ended: readonly Omit<EndedCall, 'bytes'>[]
  readonly bodies: PackedBodies
}

/**
 * To the cell, all of one turn of the control thread's event loop. `cancelled`: ids of incoming calls. `bodies`: `args` of the calls, then `bytes` of
 * the answers that are no failures.
 */
export type ToCell = {
  readonly answers: readonly ({ readonly id: number } & (Returned | Failed))[]
  readonly calls: readonly Omit<IncomingCall, 'args'>[]
  readonly cancelled: readonly number[]
  readonly bodies: PackedBodies
}

type Returned = { readonly kind: 'returned' }
type Failed = { readonly kind: 'failed'; readonly as: 'busy' | 'deadline' | 'failed'; readonly message: string }

/** A guest calls this function of this import. The places are those in `CallsCellConfig`. */
export type OutgoingCall = {
  readonly id: number
  readonly interface: number
  readonly function: number
  readonly args: Uint8Array
  readonly budgetMs: number
  /** What it belongs to; to be parsed. */
  readonly trace?: CarriedTrace | undefined
}

export type CallOutcome = (Returned & { readonly bytes: Uint8Array }) | Failed

/** Somebody elsewhere calls. */
export type IncomingCall = OutgoingCall & {
  /** Verified. */
  readonly caller: string
}

/** An incoming call has ended: with `bytes`, or with a refusal. */
export type EndedCall = {
  readonly id: number
  readonly bytes?: Uint8Array
  readonly refusal?: CallRefusal
  readonly message?: string
}
