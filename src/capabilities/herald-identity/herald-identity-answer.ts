import type { StoreError } from '../identity/identity-answer.ts'

/** Cases of `verifier.error`. */
export type VerifierError = { readonly tag: 'unavailable' | 'invalid'; readonly val: string }

export type Claims = {
  readonly subject: string
  readonly audience: readonly string[]
  readonly expiresAtS: number
  readonly issuedAtS: number | undefined
  readonly issuer: string | undefined
}

export type CurrentSvid = {
  readonly certificates: readonly Uint8Array[]
  readonly spiffeId: string
  readonly expiresAtS: number
}

export type Signature = {
  readonly algorithm: string
  readonly bytes: Uint8Array
  readonly certificateSha256: Uint8Array
}

/** Methods between the cell and the control thread: what is asked, what is answered, what is refused. */
export type Methods = {
  readonly subject: { readonly asked: undefined; readonly value: string; readonly error: StoreError }
  readonly verify: {
    readonly asked: { readonly token: string; readonly audience: string }
    readonly value: Claims
    readonly error: VerifierError
  }
  readonly svid: { readonly asked: undefined; readonly value: CurrentSvid; readonly error: StoreError }
  readonly sign: { readonly asked: Uint8Array; readonly value: Signature; readonly error: StoreError }
}

export type Answer<M extends keyof Methods> =
  | { readonly kind: 'ok'; readonly value: Methods[M]['value'] }
  | { readonly kind: 'refused'; readonly error: Methods[M]['error'] }

/** Longest data that are signed at once, bytes. */
export const maxSignedBytes = 64 * 1024
/** Longest token that is sent to the control thread, characters; see `parseJwtSvid`. */
export const maxTokenLength = 32 * 1024
export const maxAudienceLength = 2048
