import { isHeraldError } from '../../errors/herald-error.ts'

/** A case of the WIT `variant error`, as the guest sees it. Its text says what to do and nothing of the host's insides. */
export type StoreError =
  | { readonly tag: 'io'; readonly val: string }
  | { readonly tag: 'not-found' }
  | { readonly tag: 'other'; readonly val: string }

/** What the control thread answers a cell that asks for a token. */
export type IdentityAnswer =
  | {
      readonly kind: 'granted'
      readonly token: string
      /** Until when the cell may hand it out, ms since the epoch. */
      readonly usableUntilMs: number
      /** The value of the slot's epoch at which it is valid. */
      readonly epoch: number
    }
  | { readonly kind: 'refused'; readonly error: StoreError }

/** From the control thread to the cells: a token was renewed. */
export type IdentityPush = {
  readonly slot: number
  readonly token: string
  readonly usableUntilMs: number
  readonly epoch: number
}

/** What `openCapability` gets; survives structured clone. */
export type IdentityCellConfig = {
  /** The allow-list; the place of an audience in it is its slot. */
  readonly audiences: readonly string[]
  /** See `shared-slots.ts`. */
  readonly shared: SharedArrayBuffer
}

export function audienceRefusal(audience: string): StoreError {
  const shown = audience.length > 100 ? `${audience.slice(0, 100).toWellFormed()}…` : audience.toWellFormed()
  return {
    tag: 'other',
    val: `the audience ${JSON.stringify(shown)} is not allowed: add it to "audiences" in the workload's hostInterfaces entry of wasmcloud:identity`,
  }
}

/** Translates what the SVID source throws into what the guest may know. */
export function storeErrorOf(error: unknown): StoreError {
  if (isHeraldError(error)) {
    switch (error.code) {
      case 'ERR_SPIRE_NO_IDENTITY_ISSUED':
      case 'ERR_SVID_SPIFFE_ID_NOT_ISSUED':
        return { tag: 'not-found' }
      case 'ERR_SVID_AMBIGUOUS':
        return {
          tag: 'other',
          val: 'several identities match this component: choose one by "spiffe-id" in the workload\'s hostInterfaces entry of wasmcloud:identity',
        }
      case 'ERR_SPIRE_HOST_UNREGISTERED':
      case 'ERR_SPIRE_DELEGATE_UNAUTHORIZED':
        return { tag: 'other', val: 'this host is not authorised to obtain identities: its operator must authorise it' }
      case 'ERR_AUDIENCE_INVALID':
        return { tag: 'other', val: 'an audience is a text of 1 to 2048 bytes' }
      case 'ERR_DEVELOPMENT_NAME_UNUSABLE':
        return {
          tag: 'other',
          val: 'the name of this component cannot be part of a SPIFFE ID: use letters, digits, ".", "-" and "_" only',
        }
      case 'ERR_SVID_SOURCE_CLOSED':
        return { tag: 'io', val: 'this component is being stopped' }
      case 'ERR_SVID_TIMEOUT':
      case 'ERR_SPIRE_UNREACHABLE':
      case 'ERR_SPIRE_ATTESTATION_FAILED':
      case 'ERR_JWT_SVID_EXPIRED':
        return { tag: 'io', val: 'the identity authority cannot be reached: try again later' }
      default:
        return { tag: 'other', val: `the host could not obtain a valid identity: ask its operator (${error.code})` }
    }
  }
  return { tag: 'other', val: 'the host failed to obtain an identity: ask its operator (ERR_INTERNAL)' }
}
