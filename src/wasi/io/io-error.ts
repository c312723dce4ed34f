import type { HttpErrorCode } from '../http/http-error-code.ts'

/** What an {@link IoError} can be turned into by the interface that caused it. */
export type IoErrorCodes = {
  readonly http?: HttpErrorCode
  /** `wasi:filesystem/types#error-code`. */
  readonly filesystem?: string
  /** `wasi:sockets/network#error-code`. */
  readonly network?: string
}

/** `wasi:io/error#error`. The text is for the guest: it never holds host paths, addresses or anything of another guest. */
export class IoError {
  readonly #text: string
  readonly codes: IoErrorCodes

  constructor(text: string, codes: IoErrorCodes = {}) {
    this.#text = text
    this.codes = codes
  }

  toDebugString(): string {
    return this.#text
  }

  [Symbol.dispose](): void {}
}

/** `wasi:io/streams#stream-error`, as it is thrown to the guest. */
export type StreamError = { readonly tag: 'closed' } | { readonly tag: 'last-operation-failed'; readonly val: IoError }

export const closed: StreamError = { tag: 'closed' }

export function lastOperationFailed(error: IoError): StreamError {
  return { tag: 'last-operation-failed', val: error }
}
