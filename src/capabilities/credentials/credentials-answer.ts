import { isHeraldError } from '../../errors/herald-error.ts'
import type { CredentialSecret } from '../../federation/credentials.ts'

/** A case of the WIT `variant error`, as the guest sees it. Its text says what to do and nothing of the host's insides. */
export type CredentialsError =
  | { readonly tag: 'unknown-binding' }
  | { readonly tag: 'no-identity' }
  | { readonly tag: 'refused'; readonly val: string }
  | { readonly tag: 'unavailable'; readonly val: string }

/** What the control thread answers a cell. */
export type CredentialsAnswer =
  | {
      readonly kind: 'granted'
      readonly secret: CredentialSecret
      readonly expiresAtMs: number
      /** Until when the cell may hand it out, ms since the epoch. */
      readonly usableUntilMs: number
      /** The value of the slot's epoch at which it is valid. */
      readonly epoch: number
    }
  | { readonly kind: 'refused'; readonly error: CredentialsError }

/** What `openCapability` gets; survives structured clone. */
export type CredentialsCellConfig = {
  /** Names of the bindings; the place of a name in it is its slot. */
  readonly names: readonly string[]
  /** See `shared-slots.ts` of the identity capability. */
  readonly shared: SharedArrayBuffer
}

export function credentialsErrorOf(error: unknown): CredentialsError {
  if (!isHeraldError(error)) return { tag: 'unavailable', val: 'the host failed: ask its operator (ERR_INTERNAL)' }
  switch (error.code) {
    case 'ERR_SPIRE_NO_IDENTITY_ISSUED':
    case 'ERR_SVID_SPIFFE_ID_NOT_ISSUED':
      return { tag: 'no-identity' }
    case 'ERR_SVID_AMBIGUOUS':
      return {
        tag: 'refused',
        val: 'several identities match this component: choose one by "spiffe-id" in the config of the binding',
      }
    case 'ERR_FEDERATION_REFUSED':
      // Scrubbed of tokens where it was made; the component needs the other party's reason.
      return { tag: 'refused', val: error.hint === undefined ? error.message : `${error.message} (${error.hint})` }
    case 'ERR_FEDERATION_ANSWER_INVALID':
      return { tag: 'refused', val: error.message }
    case 'ERR_FEDERATION_UNAVAILABLE':
      return { tag: 'unavailable', val: error.message }
    case 'ERR_SVID_SOURCE_CLOSED':
      return { tag: 'unavailable', val: 'this component is being stopped' }
    case 'ERR_SPIRE_HOST_UNREGISTERED':
    case 'ERR_SPIRE_DELEGATE_UNAUTHORIZED':
      return { tag: 'refused', val: 'this host is not authorised to obtain identities: its operator must authorise it' }
    default:
      return {
        tag: 'unavailable',
        val: `the identity authority gave no valid identity: try again later (${error.code})`,
      }
  }
}
