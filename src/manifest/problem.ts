import type { SourcePosition } from '../errors/herald-error.ts'

/** The way from a document's root to a value: `['spec', 'components', 0, 'name']`. */
export type KeyPath = readonly (string | number)[]

/** A fault in a document, not yet placed in its file. */
export type Problem = {
  readonly path: KeyPath
  /** Point at the key instead of its value: for unknown keys and fields that as a whole cannot be honoured. */
  readonly at: 'key' | 'value'
  readonly message: string
  readonly hint?: string
  /** Default: `invalid`. */
  readonly kind?: 'invalid' | 'unsupported' | 'image' | 'image-not-found'
}

/** Something in a manifest that is valid and without effect on this host; said, never swallowed. */
export type ManifestWarning = { readonly message: string; readonly where: SourcePosition }

/** `spec.template.spec.components[0].name`; keys that are no plain words are quoted: `labels["a.b/c"]`. */
export function formatKeyPath(path: KeyPath): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`
      if (!/^[A-Za-z_][\w-]*$/.test(part)) return `[${JSON.stringify(part)}]`
      return index === 0 ? part : `.${part}`
    })
    .join('')
}
