import type { WitFunction } from '../../wit/wit-type.ts'
import type { CallRefusal } from './call-frame.ts'

/** What a component's cell knows of the interfaces that it calls, and is called by. */
export type CallsCellConfig = {
  readonly imports: readonly CalledInterface[]
  readonly exports: readonly CalledInterface[]
}

/** `name` with version. */
export type CalledInterface = { readonly name: string; readonly functions: readonly WitFunction[] }

/** From the cell: calls this function of this import. The places are those in `CallsCellConfig`. */
export type OutgoingCall = {
  readonly interface: number
  readonly function: number
  readonly args: Uint8Array
  readonly budgetMs: number
}

export type OutgoingAnswer =
  | { readonly kind: 'returned'; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly as: 'busy' | 'deadline' | 'failed'; readonly message: string }

/** To the cell: somebody elsewhere calls. */
export type ToCallee =
  | {
      readonly kind: 'call'
      readonly id: number
      readonly interface: number
      readonly function: number
      readonly args: Uint8Array
      readonly budgetMs: number
      /** Verified. */
      readonly caller: string
    }
  | { readonly kind: 'cancel'; readonly id: number }

/** From the cell: these calls have ended. */
export type EndedCall = {
  readonly id: number
  readonly bytes?: Uint8Array
  readonly refusal?: CallRefusal
  readonly message?: string
}
