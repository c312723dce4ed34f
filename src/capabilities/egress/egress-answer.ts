import type { EgressCertificate } from '../../federation/egress-certificate.ts'
import type { EgressSigning, HeadToSign } from '../../federation/egress-signing.ts'
import type { HeaderPairs } from '../capability.ts'

/** From a cell's host code to the control thread. */
export type SignRequest = { readonly slot: number; readonly head: HeadToSign }
export type RejectedReport = { readonly slot: number; readonly credentialId: string }

/** Only the values of fields cross, never a key. */
export type SignAnswer =
  | { readonly kind: 'signed'; readonly fields: HeaderPairs; readonly credentialId: string }
  | { readonly kind: 'refused'; readonly denied: boolean; readonly message: string }

/** What `openCapability` gets: no secret. The place of an entry is its slot. `socketPath`: where mutual TLS is made for it. */
export type EgressCellConfig = {
  readonly signings: readonly (EgressSigning | (EgressCertificate & { readonly socketPath: string }))[]
}
