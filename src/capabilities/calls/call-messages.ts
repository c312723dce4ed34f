import type { CarriedTrace } from '../../observability/trace-context.ts'
import type { WitFunction } from '../../wit/wit-type.ts'
import type { CallRefusal } from './call-frame.ts'

/** What a component's cell knows of the interfaces that it calls, and is called by. */
export type CallsCellConfig = {
  readonly imports: readonly CalledInterface[]
  readonly exports: readonly CalledInterface[]
}

/** `name` with version. */
export type CalledInterface = { readonly name: string; readonly functions: readonly WitFunction[] }

/** From the cell, all of one turn of its event loop. `cancelled`: ids of calls whose caller no longer waits. */
export type FromCell = {
  readonly calls: readonly OutgoingCall[]
  readonly cancelled: readonly number[]
  readonly ended: readonly EndedCall[]
}

/** To the cell, all of one turn of the control thread's event loop. `cancelled`: ids of incoming calls. */
export type ToCell = {
  readonly answers: readonly OutgoingAnswer[]
  readonly calls: readonly IncomingCall[]
  readonly cancelled: readonly number[]
}

/** A guest calls this function of this import. The places are those in `CallsCellConfig`. */
export type OutgoingCall = {
  readonly id: number
  readonly interface: number
  readonly function: number
  readonly args: Uint8Array
  readonly budgetMs: number
}

export type OutgoingAnswer = { readonly id: number } & CallOutcome

  /** What it belongs to; to be parsed. */
  readonly trace?: CarriedTrace | undefined
export type CallOutcome =
  | { readonly kind: 'returned'; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly as: 'busy' | 'deadline' | 'failed'; readonly message: string }

/** Somebody elsewhere calls. */
export type IncomingCall = OutgoingCall & {
  /** Verified. */
  readonly caller: string
}

/** An incoming call has ended. */
export type EndedCall = {
  readonly id: number
  readonly bytes?: Uint8Array
  readonly refusal?: CallRefusal
  readonly message?: string
}
