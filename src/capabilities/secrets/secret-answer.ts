/** `variant secrets-error`, as the guest sees it. */
export type SecretsError =
  | { readonly tag: 'upstream'; readonly val: string }
  | { readonly tag: 'io'; readonly val: string }
  | { readonly tag: 'not-found' }

/** What the control thread answers a cell; the value only ever goes to the cell of a component that may have it. */
export type SecretAnswer = { readonly value: Uint8Array } | { readonly error: SecretsError }
