import type { ComponentFacts } from '../identity/component-facts.ts'
import type { EntrySettings } from './entry-settings.ts'

/** What a guest calls a bucket or container, once it is known to be harmless in every backend. */
export type StoreName = string & { readonly __brand: 'StoreName' }

/** The keys of an entry that decide which buckets its guests reach. */
export const storeScopeKeys = ['bucket', 'scope'] as const

export type StoreScope =
  /** The one bucket that the manifest names; shared by all who name it. */
  { readonly kind: 'named'; readonly bucket: string } | { readonly kind: 'namespace' } | { readonly kind: 'workload' }

/** @throws ERR_CAPABILITY_CONFIG */
export function parseStoreScope(settings: EntrySettings): StoreScope {
  const kind = settings.oneOf('scope', ['namespace', 'workload'], 'namespace')
  const bucket = settings.matching('bucket', /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'at most 64 letters, digits, - and _')
  if (bucket === undefined) return { kind }
  if (settings.text('scope') !== undefined) throw settings.refusal('it has both bucket and scope', 'keep one of them')
  // Those are the names that scopes are turned into: nobody may name another's.
  if (/^herald/i.test(bucket)) throw settings.refusal('a bucket cannot begin with "herald"', 'choose another name')
  return { kind: 'named', bucket }
}

/** `undefined` for what cannot be a name. An empty name means `default`. */
export function parseStoreName(text: unknown): StoreName | undefined {
  if (text === '') return 'default' as StoreName
  return typeof text === 'string' && /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(text) ? (text as StoreName) : undefined
}

/**
 * The name a bucket has in the backend: what the manifest names, else made of the host's own facts, so that no two namespaces (or workloads)
 * ever mean the same one. Letters, digits, - and _ only. `undefined` when the guest asks for another than the named one.
 */
export function storeInBackend(
  scope: StoreScope,
  { namespace, workloadName }: Pick<ComponentFacts, 'namespace' | 'workloadName'>,
  name: StoreName,
): string | undefined {
  switch (scope.kind) {
    case 'named':
      return name === scope.bucket || name === 'default' ? scope.bucket : undefined
    case 'namespace':
      return `herald_${namespace}_${name}`
    case 'workload':
      // A namespace has no "_", a workload no "_" but dots, and a name does not begin with "_": all three can be read off again.
      return `heraldw_${namespace}_${workloadName.replaceAll('.', '__')}_${name}`
  }
}
