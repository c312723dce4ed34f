/**
 * Ends the guest's stack from within `pollable.block` and `poll`. jco 1.35 leaves the caller of an import without a `result<>` suspended
 * for ever when that rejects: its handler passes the error to `AsyncTask.reject`, and awaits a promise that nothing settles any
 * more. On the way there the error's `message` is read; read from there, and only from there, it throws the reason, so that the handler
 * itself fails and JSPI unwinds the stack. For everybody else (the slim glue lets the error through) it is an ordinary error.
 */
export class UnwindingError extends Error {
  override readonly name = 'UnwindingError'

  constructor(reason: unknown) {
    super(undefined, { cause: reason })
    const text = reason instanceof Error ? reason.message : 'the instance has ended'
    Object.defineProperty(this, 'message', {
      configurable: true,
      get() {
        if (isReadByTask(new Error().stack)) throw reason
        return text
      },
    })
  }
}

export function unwind(reason: unknown): never {
  throw new UnwindingError(reason)
}

/** Lines of a stack: `Error`, the getter, who reads it. */
function isReadByTask(stack: string | undefined): boolean {
  return stack?.split('\n')[2]?.includes(' AsyncTask.reject ') === true
}
