/**
 * Ends the guest's stack from within `pollable.block` and `poll`. jco 1.35 leaves the caller of an import without a `result<>`
 * suspended for ever when that rejects: its handler awaits a promise that nothing settles any more. On the way there it reads the
 * error's `message`; this one throws the reason at the first read, so that the handler itself fails and JSPI unwinds the
 * stack. From the second read on it is an ordinary message.
 */
export class UnwindingError extends Error {
  override readonly name = 'UnwindingError'

  constructor(reason: unknown) {
    super(undefined, { cause: reason })
    let read = false
    Object.defineProperty(this, 'message', {
      configurable: true,
      get() {
        if (read) return 'the instance has ended'
        read = true
        throw reason
      },
    })
  }
}

export function unwind(reason: unknown): never {
  throw new UnwindingError(reason)
}
