import { isHeraldError } from '../../errors/herald-error.ts'

/** `variant error` of wasi:keyvalue/store, as the guest sees it. */
export type KeyvalueError =
  | { readonly tag: 'no-such-store' }
  | { readonly tag: 'access-denied' }
  | { readonly tag: 'other'; readonly val: string }

/** What the control thread answers a cell. */
export type KeyvalueAnswer = { readonly ok: unknown } | { readonly error: KeyvalueError }

/** A refusal that the guest is to see as it is. */
export class KeyvalueRefusal extends Error {
  readonly error: KeyvalueError

  constructor(error: KeyvalueError) {
    super(error.tag)
    this.error = error
  }
}

export function refuse(text: string): KeyvalueRefusal {
  return new KeyvalueRefusal({ tag: 'other', val: text })
}

/** Translates what a backend throws into what the guest may know: nothing of addresses, paths or names in the backend. */
export function keyvalueErrorOf(error: unknown): KeyvalueError {
  if (error instanceof KeyvalueRefusal) return error.error
  if (isHeraldError(error)) {
    switch (error.code) {
      case 'ERR_LATTICE_PAYLOAD_TOO_LARGE':
        return { tag: 'other', val: 'the value is larger than the store takes' }
      case 'ERR_LATTICE_UNAUTHORIZED':
        return { tag: 'access-denied' }
      case 'ERR_LATTICE_TIMEOUT':
      case 'ERR_LATTICE_UNREACHABLE':
      case 'ERR_CAPABILITY_UNAVAILABLE':
        return { tag: 'other', val: 'the store cannot be reached: try again later' }
      default:
        return { tag: 'other', val: `the store failed: ask the host's operator (${error.code})` }
    }
  }
  return { tag: 'other', val: "the store failed: ask the host's operator (ERR_INTERNAL)" }
}
