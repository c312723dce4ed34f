import { HeraldError } from '../errors/herald-error.ts'

/** The part of a SPIRE registration entry that decides whom it matches. */
export type RegistrationEntry = {
  readonly id: string
  readonly spiffeId: string
  readonly parentId: string
  /** `wasmcloud:component:api-gateway` */
  readonly selectors: readonly string[]
}

/** An entry that does not match, and the selectors that are in the way. */
export type NearEntry = { readonly entry: RegistrationEntry; readonly missing: readonly string[] }

/**
 * What `spire-server entry show -output json` prints.
 * @throws ERR_USAGE
 */
export function parseEntries(text: string): readonly RegistrationEntry[] {
  try {
    const { entries } = JSON.parse(text) as { entries: RawEntry[] }
    const idOf = (id: RawId) => `spiffe://${id.trust_domain}${id.path}`
    return entries.map(({ id, spiffe_id, parent_id, selectors }) => ({
      id: `${id}`,
      spiffeId: idOf(spiffe_id),
      parentId: idOf(parent_id),
      selectors: selectors.map(({ type, value }) => `${type}:${value}`),
    }))
  } catch (cause) {
    throw new HeraldError('ERR_USAGE', 'the entries cannot be read', {
      hint: 'give what this prints: spire-server entry show -output json',
      cause,
    })
  }
}

type RawId = { trust_domain: string; path: string }
type RawEntry = { id: string; spiffe_id: RawId; parent_id: RawId; selectors: { type: string; value: string }[] }

/** SPIRE's rule: an entry matches when all of its selectors are among those stated. Nearest first among those that do not. */
export function matchEntries(
  entries: readonly RegistrationEntry[],
  stated: readonly string[],
): { readonly matching: readonly RegistrationEntry[]; readonly near: readonly NearEntry[] } {
  const known = new Set(stated)
  const judged = entries
    .filter(({ selectors }) => selectors.some((selector) => selector.startsWith('wasmcloud:')))
    .map((entry) => ({ entry, missing: entry.selectors.filter((selector) => !known.has(selector)) }))
  return {
    matching: judged.filter(({ missing }) => missing.length === 0).map(({ entry }) => entry),
    near: judged
      .filter(({ missing, entry }) => missing.length > 0 && missing.length < entry.selectors.length + 1)
      .sort((a, b) => a.missing.length - b.missing.length || b.entry.selectors.length - a.entry.selectors.length)
      .slice(0, 3),
  }
}
