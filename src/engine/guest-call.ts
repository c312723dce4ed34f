import { CallFailure } from '../capabilities/call-failure.ts'
import type { CallGuestOptions } from '../capabilities/capability.ts'
import { GuestExit } from '../wasi/wasi.ts'
import { PoolBusyError } from './instance-pool.ts'

/** What calls a component's exported functions; a component of a cell is one. */
export interface CallableComponent {
  /**
   * @param name an exported interface, with or without version; `fn` in jco's mapping, as arguments and result are
   * @throws what the guest returned as `err`, with a `payload`; else what ended the call
   */
  call(name: string, fn: string, args: readonly unknown[], options?: CallGuestOptions): Promise<unknown>
}

/** The call took longer than its deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
}

/** A component that the guest called did not answer: it trapped, was busy, took too long, or has ended. */
export class CalleeFailure extends Error {
  override readonly name = 'CalleeFailure'
  /** What happened to the last one in the chain. */
  readonly first: unknown

  constructor(component: string, cause: unknown) {
    const said = cause instanceof Error ? cause.message : String(cause)
    super(`component ${component}, which it called, failed: ${said}`, { cause })
    this.first = cause instanceof CalleeFailure ? cause.first : cause
  }
}

/** `result::err` of an export, as jco throws it. */
export function isGuestError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'payload' in error
}

/** Whether the guest itself failed; what a component that it called did is told of that one. */
export function isTrap(error: unknown): boolean {
  return !(
    error instanceof DeadlineError ||
    error instanceof GuestExit ||
    error instanceof CalleeFailure ||
    error instanceof CallFailure
  )
}

/** What the one who asked is told: the instance pool or a callee was busy, a deadline has passed, or neither. */
export function kindOfFailure(thrown: unknown): CallFailure['kind'] {
  const error = thrown instanceof CalleeFailure ? thrown.first : thrown
  if (error instanceof PoolBusyError) return 'busy'
  if (error instanceof DeadlineError) return 'deadline'
  return error instanceof CallFailure ? error.kind : 'failed'
}
