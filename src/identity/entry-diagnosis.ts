import type { RegistrationEntry } from './registration-entry.ts'

/** A SPIRE agent, as its server knows it. */
export type SpireAgent = {
  readonly spiffeId: string
  /** Of its node's attestation; entries with the server as parent are for the agents that have all of theirs. */
  readonly selectors: readonly string[]
  readonly banned: boolean
}

/** What is known beside the entries. */
export type EntrySurroundings = {
  /** All agents of the server; undefined when it was not asked. */
  readonly agents: readonly SpireAgent[] | undefined
  /** The agent that serves this host, and when it last took over the server's entries; undefined when it did not say. */
  readonly agent: { readonly spiffeId: string; readonly lastSync: Date | undefined } | undefined
  readonly nowMs: number
}

/** Why an entry whose selectors are all stated is, or soon will be, of no use to the component. */
export type Obstacle =
  | { readonly kind: 'stored' }
  /** It has `admin` or `downstream`: agents give such SVIDs to no delegate. */
  | { readonly kind: 'withheld' }
  | { readonly kind: 'expired'; readonly at: Date }
  /** Neither an agent nor an entry has the parent's SPIFFE ID. */
  | { readonly kind: 'parent-unknown' }
  /** The parent is not below the agent of this host, but below these. */
  | { readonly kind: 'parent-elsewhere'; readonly agents: readonly string[] }
  /** It is younger than what the agent last took over. */
  | { readonly kind: 'not-synced'; readonly lastSync: Date }

export type MatchingEntry = { readonly entry: RegistrationEntry; readonly obstacle?: Obstacle }

/** A selector that is in the way, and what is stated instead. */
export type Unmet = {
  readonly selector: string
  readonly kind: 'other-type' | 'unknown-key' | 'other-value' | 'not-stated'
  /** The stated selector that it probably means. */
  readonly instead?: string
}

/** An entry that does not match, and the selectors that are in the way. */
export type NearEntry = {
  readonly entry: RegistrationEntry
  readonly missing: readonly string[]
  readonly unmet: readonly Unmet[]
}

export type EntryDiagnosis = { readonly matching: readonly MatchingEntry[]; readonly near: readonly NearEntry[] }

const keys = ['component', 'namespace', 'workload', 'lattice', 'image', 'image-digest', 'environment', 'host-label']

/** SPIRE's rule: an entry matches when all of its selectors are among those stated. The nearest three of those that do not. */
export function diagnoseEntries(
  entries: readonly RegistrationEntry[],
  stated: readonly string[],
  surroundings: EntrySurroundings,
): EntryDiagnosis {
  const known = new Set(stated)
  const parents = new Parents(entries, surroundings.agents ?? [])
  const judged = entries
    .filter(({ selectors }) => selectors.some((selector) => isAlike(typeOf(selector), 'wasmcloud')))
    .map((entry) => ({ entry, missing: entry.selectors.filter((selector) => !known.has(selector)) }))
  const component = stated.find((selector) => selector.startsWith('wasmcloud:component:'))
  return {
    matching: judged
      .filter(({ missing }) => missing.length === 0)
      .map(({ entry }) => {
        const obstacle = obstacleTo(entry, parents, surroundings)
        return obstacle === undefined ? { entry } : { entry, obstacle }
      })
      .sort((a, b) => Number(a.obstacle !== undefined) - Number(b.obstacle !== undefined)),
    near: judged
      .filter(({ missing }) => missing.length > 0)
      .map(({ entry, missing }) => ({ entry, missing, unmet: missing.map((each) => unmetBy(each, stated)) }))
      .map((near) => ({ near, rank: rankOf(near, component) }))
      .filter(({ rank }) => rank < notNear)
      .sort((a, b) => a.rank - b.rank || a.near.missing.length - b.near.missing.length)
      .slice(0, 3)
      .map(({ near }) => near),
  }
}

const notNear = 3

/** 0 for mere slips, 1 for entries of the component that want more, 2 for those that share anything else. */
function rankOf({ entry, missing, unmet }: NearEntry, component: string | undefined): number {
  if (unmet.every(isSlip)) return 0
  // An entry of another component is not near, whatever else they share.
  if (unmet.some((each) => each.kind === 'other-value' && each.instead === component && !isSlip(each))) return notNear
  if (entry.selectors.some((each) => each === component)) return 1
  return missing.length < entry.selectors.length || unmet.some(isSlip) ? 2 : notNear
}

/**
 * The parent that an entry for a component of this host should have: that of most others which this host's agent has, else the only
 * entry below which there is nothing, the host's own. Undefined when neither can be told.
 */
export function usualParent(
  entries: readonly RegistrationEntry[],
  { agent, agents = [] }: EntrySurroundings,
): string | undefined {
  if (agent === undefined) return undefined
  const parents = new Parents(entries, agents)
  const byParent = Map.groupBy(entries, ({ parentId }) => parentId)
  const here = [...byParent].filter(([parentId]) => parents.agentsAbove(parentId).has(agent.spiffeId))
  const isOfComponent = ({ selectors }: RegistrationEntry): boolean =>
    selectors.some((selector) => typeOf(selector) === 'wasmcloud')
  const counted = here
    .map(([id, below]) => ({ id, components: below.filter(isOfComponent).length }))
    .filter(({ components }) => components > 0)
  const leaves = here.flatMap(([, below]) => below).filter(({ spiffeId }) => !byParent.has(spiffeId))
  const most = counted.sort((a, b) => b.components - a.components)[0]?.id
  return most ?? (leaves.length === 1 ? leaves[0]?.spiffeId : undefined)
}

function obstacleTo(
  entry: RegistrationEntry,
  parents: Parents,
  { agents, agent, nowMs }: EntrySurroundings,
): Obstacle | undefined {
  const { storeSvid, expiresAt, createdAt, parentId } = entry
  if (storeSvid) return { kind: 'stored' }
  if (entry.admin || entry.downstream) return { kind: 'withheld' }
  if (expiresAt !== undefined && expiresAt.getTime() <= nowMs) return { kind: 'expired', at: expiresAt }
  if (agents !== undefined) {
    const above = parents.agentsAbove(parentId)
    if (above.size === 0) return { kind: 'parent-unknown' }
    if (agent !== undefined && !above.has(agent.spiffeId))
      return { kind: 'parent-elsewhere', agents: [...above].sort() }
  }
  const lastSync = agent?.lastSync
  // Both are whole seconds.
  if (lastSync !== undefined && createdAt !== undefined && createdAt > lastSync) return { kind: 'not-synced', lastSync }
  return undefined
}

/** Which agents are given the entries below a SPIFFE ID, by the server's rule: theirs, their nodes' aliases', and all below those. */
class Parents {
  readonly #entriesOf: ReadonlyMap<string, readonly RegistrationEntry[]>
  readonly #agents: readonly SpireAgent[]

  constructor(entries: readonly RegistrationEntry[], agents: readonly SpireAgent[]) {
    this.#entriesOf = Map.groupBy(entries, ({ spiffeId }) => spiffeId)
    this.#agents = agents
  }

  agentsAbove(id: string, seen = new Set<string>()): Set<string> {
    const above = new Set<string>()
    if (seen.has(id)) return above
    seen.add(id)
    if (this.#agents.some(({ spiffeId }) => spiffeId === id)) above.add(id)
    for (const { parentId, selectors } of this.#entriesOf.get(id) ?? []) {
      const agents = /^spiffe:\/\/[^/]+\/spire\/server$/.test(parentId)
        ? this.#agents.filter((each) => selectors.every((wanted) => each.selectors.includes(wanted)))
        : [...this.agentsAbove(parentId, seen)].map((spiffeId) => ({ spiffeId }))
      for (const { spiffeId } of agents) above.add(spiffeId)
    }
    return above
  }
}

function unmetBy(selector: string, stated: readonly string[]): Unmet {
  const [type = '', key = ''] = selector.split(':')
  const rest = selector.slice(type.length + key.length + 2)
  const about = (kind: Unmet['kind'], instead?: string): Unmet => ({ selector, kind, ...(instead && { instead }) })
  const sameKey = stated.find((each) => each.startsWith(`wasmcloud:${key}:`))
  if (type !== 'wasmcloud') return about('other-type', sameKey?.endsWith(`:${rest}`) ? sameKey : undefined)
  if (keys.includes(key)) return sameKey === undefined ? about('not-stated') : about('other-value', sameKey)
  const meant = keys.find((each) => isAlike(each, key))
  // With another value it is another component's, mistyped.
  return about(
    'unknown-key',
    stated.find((each) => each === `wasmcloud:${meant}:${rest}`),
  )
}

const typeOf = (selector: string): string => selector.split(':', 1)[0] ?? ''

/** Whether what is stated was probably meant. */
function isSlip({ selector, kind, instead }: Unmet): boolean {
  return instead !== undefined && (kind !== 'other-value' || isAlike(selector, instead))
}

/** Whether two words differ by no more than two slips (a letter too much, too few or wrong), as a mistyped one does. */
function isAlike(a: string, b: string): boolean {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const wrong = row[j - 1]! + Number(a[i - 1] !== b[j - 1])
      next.push(Math.min(wrong, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]! <= 2
}
