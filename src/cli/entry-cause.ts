import { shellCommand } from '../federation/trust/shell-word.ts'
import type { EntryDiagnosis, MatchingEntry, NearEntry, SpireAgent } from '../identity/entry-diagnosis.ts'
import type { RegistrationEntry } from '../identity/registration-entry.ts'
import type { Cause, IdentityOutcome } from './explanation.ts'
import type { WorkloadSubject } from './workload-subject.ts'

/** The registration entries as they were seen, and who was asked for them. */
export type EntryRecords = {
  /** Undefined when they were read from a file. */
  readonly server: { readonly trustDomain: string; readonly agents: readonly SpireAgent[] } | undefined
  readonly entries: readonly RegistrationEntry[]
  readonly diagnosis: EntryDiagnosis
  /** The agent that serves this host. */
  readonly agent: string | undefined
  /** The parent that an entry for this host should have, where it can be told. */
  readonly parent: string | undefined
}

/** What is wrong between the agent and the server, whatever the entries are. */
export function agentCause({ server, agent }: EntryRecords): Cause | undefined {
  if (server === undefined || agent === undefined) return undefined
  const domain = trustDomainOf(agent)
  if (domain !== server.trustDomain) {
    return {
      name: 'server-of-another-trust-domain',
      detail: `the agent is of the trust domain ${domain}, the server of ${server.trustDomain}`,
      mend: `name the socket of the server that the agent asks: server_address in its configuration`,
    }
  }
  const known = server.agents.find(({ spiffeId }) => spiffeId === agent)
  if (known?.banned === false) return undefined
  const evict = shellCommand('spire-server', 'agent', 'evict', ['-spiffeID', agent])
  return known === undefined
    ? {
        name: 'agent-unknown',
        detail: `the server does not know the agent ${agent}: it was evicted, or attested at another server`,
        mend: 'restart the agent, so that it attests anew: with a new join token, where that is how it attests',
      }
    : {
        name: 'agent-banned',
        detail: `the server has banned the agent ${agent}, and gives it nothing`,
        mend: `${evict}, and restart the agent`,
      }
}

/**
 * Why no entry gives the component its identity.
 * @param wanted the configured `spiffe-id`.
 */
export function entryCause(subject: WorkloadSubject, records: EntryRecords | undefined, wanted?: string): Cause {
  if (records === undefined)
    return { name: 'no-entry', detail: 'no registration entry matches the component', mend: createEntry(subject) }
  const { diagnosis, server, parent } = records
  if (wanted !== undefined) {
    const chosen = records.entries.some(({ spiffeId }) => spiffeId === wanted)
    if (!chosen) return withoutEntry(subject, records, wanted)
    const of = ({ entry }: { entry: RegistrationEntry }): boolean => entry.spiffeId === wanted
    const narrowed = { matching: diagnosis.matching.filter(of), near: diagnosis.near.filter(of) }
    return entryCause(subject, { ...records, diagnosis: narrowed })
  }
  const [matching] = diagnosis.matching
  if (matching !== undefined) {
    return (
      obstacleCause(matching, records) ?? {
        name: 'entry-not-at-agent',
        detail: `entry ${matching.entry.id} matches, but the agent does not have it (yet); its parent is ${matching.entry.parentId}`,
        mend: server
          ? "wait for the agent's next sync; if it stays so, see the agent's log"
          : 'wait for the next sync; if it stays so, give the entry the SPIFFE ID of this host as its parent',
      }
    )
  }
  const [near] = diagnosis.near
  if (near !== undefined) return nearCause(subject, near, parent)
  return { name: 'no-entry', detail: 'no registration entry matches the component', mend: createEntry(subject, parent) }
}

/** What the server says against an identity that the agent, for now, gives. */
export function issuedCause(
  subject: WorkloadSubject,
  { spiffeId }: IdentityOutcome & { kind: 'issued' },
  records: EntryRecords,
): Cause | undefined {
  if (records.agent === undefined || records.server === undefined) return undefined
  const [best] = records.diagnosis.matching.filter(({ entry }) => entry.spiffeId === spiffeId)
  if (best !== undefined) {
    return best.obstacle === undefined || best.obstacle.kind === 'not-synced' ? undefined : obstacleCause(best, records)
  }
  return {
    name: 'entry-gone',
    detail: `the agent still issues ${spiffeId}, but the server has no matching entry of it any more; the agent follows at its next sync`,
    mend: createEntry(subject, records.parent),
  }
}

/** Of an entry whose selectors all match; undefined when nothing else is known against it. */
function obstacleCause({ entry, obstacle }: MatchingEntry, { parent, agent }: EntryRecords): Cause | undefined {
  const matches = `entry ${entry.id}, of ${entry.spiffeId}, matches, but`
  switch (obstacle?.kind) {
    case undefined:
      return undefined
    case 'stored':
      return {
        name: 'entry-stored',
        detail: `${matches} it has storeSVID: its SVIDs go to an SVIDStore plugin, and to no workload`,
        mend: updateEntry({ ...entry, storeSvid: undefined }),
      }
    case 'withheld':
      return {
        name: 'entry-withheld',
        detail: `${matches} whoever has it may manage the SPIRE server (admin or downstream): agents give that to no delegate`,
        mend: updateEntry({ ...entry, admin: undefined, downstream: undefined }),
      }
    case 'expired':
      return {
        name: 'entry-expired',
        detail: `${matches} it has expired at ${obstacle.at.toISOString()}; the server removes it within five minutes of that`,
        mend: updateEntry({ ...entry, expiresAt: undefined }),
      }
    case 'parent-unknown':
      return {
        name: 'entry-parent-unknown',
        detail: `${matches} its parent ${entry.parentId} is no agent, and no entry has that SPIFFE ID`,
        mend: updateEntry({ ...entry, parentId: parent ?? unknownParent }),
      }
    case 'parent-elsewhere':
      return {
        name: 'entry-parent-elsewhere',
        detail: `${matches} its parent ${entry.parentId} is below ${obstacle.agents.slice(0, 3).join(', ')}, not below the agent of this host, ${agent}`,
        mend: createEntryLike({ ...entry, parentId: parent ?? unknownParent }),
      }
    case 'not-synced':
      return {
        name: 'entry-not-synced',
        detail: `${matches} it is younger than what the agent last took over, at ${obstacle.lastSync.toISOString()}`,
        mend: "wait for the agent's next sync (sync_interval of its configuration, 5 s by default) and ask again",
      }
  }
}

function nearCause(subject: WorkloadSubject, { entry, missing, unmet }: NearEntry, parent: string | undefined): Cause {
  const wants = `the nearest entry, of ${entry.spiffeId}, wants ${missing.join(' and ')}`
  const stated = unmet.flatMap(({ instead }) => instead ?? [])
  const known = stated.length === 0 ? '' : `: it states ${stated.join(' and ')}`
  const kinds = new Set(unmet.map(({ kind }) => kind))
  const [kind] = kinds
  // What was mistyped is mended; an entry that is right for another component is left alone.
  const corrected = (): string =>
    updateEntry({
      ...entry,
      selectors: entry.selectors.map((each) => unmet.find(({ selector }) => selector === each)?.instead ?? each),
    })
  if (kinds.size === 1 && kind === 'other-type') {
    const detail = `${wants}, of a type that is never stated of a component${known}`
    return {
      name: 'entry-selector-type',
      detail,
      mend: stated.length === missing.length ? corrected() : createEntry(subject, parent),
    }
  }
  if (kinds.size === 1 && kind === 'unknown-key') {
    const mend = stated.length === missing.length ? corrected() : createEntry(subject, parent)
    return { name: 'entry-selector-unknown', detail: `${wants}, a key that no host states${known}`, mend }
  }
  const detail = `${wants}, which this host would not state${known}`
  return { name: 'entry-does-not-match', detail, mend: createEntry(subject, parent) }
}

function withoutEntry(subject: WorkloadSubject, { server, diagnosis, parent }: EntryRecords, wanted: string): Cause {
  const domain = trustDomainOf(wanted)
  if (server !== undefined && domain !== server.trustDomain) {
    const mend = `write spiffe-id: "spiffe://${server.trustDomain}${wanted.slice(`spiffe://${domain}`.length)}" in ${subject.file}`
    const detail = `the configured spiffe-id ${wanted} is of another trust domain than the SPIRE server, ${server.trustDomain}`
    return { name: 'spiffe-id-trust-domain', detail, mend }
  }
  const [matching] = diagnosis.matching
  const name = 'spiffe-id-without-entry'
  return matching === undefined
    ? { name, detail: `no entry has the configured spiffe-id ${wanted}`, mend: createEntry(subject, parent) }
    : {
        name,
        detail: `no entry has the configured spiffe-id ${wanted}; entry ${matching.entry.id}, which matches, has ${matching.entry.spiffeId}`,
        mend: `write spiffe-id: "${matching.entry.spiffeId}" in ${subject.file}, or create the entry`,
      }
}

const unknownParent = 'SPIFFE-ID-OF-THE-HOST'

export function createEntry({ file, componentName, workload }: WorkloadSubject, parent?: string): string {
  const which = workload.components.length > 1 ? ` --component ${componentName}` : ''
  const where = parent === undefined ? '' : ` --parent-id ${parent}`
  return `herald trust spire ${file}${which} --trust-domain ${parent === undefined ? 'TRUST-DOMAIN' : trustDomainOf(parent)}${where} | sh`
}

type EntryFields = {
  readonly [Key in keyof RegistrationEntry]: RegistrationEntry[Key] | undefined
} & RegistrationEntryCore
type RegistrationEntryCore = Pick<RegistrationEntry, 'id' | 'spiffeId' | 'parentId' | 'selectors'>

/** It sets all of an entry: what is not said is taken away. */
function updateEntry(entry: EntryFields): string {
  return shellCommand('spire-server', 'entry', 'update', ['-entryID', entry.id], ...optionsOf(entry))
}

function createEntryLike(entry: EntryFields): string {
  return shellCommand('spire-server', 'entry', 'create', ...optionsOf(entry))
}

function optionsOf(entry: EntryFields): readonly (readonly string[])[] {
  const { parentId, spiffeId, selectors, jwtSvidTtlS, x509SvidTtlS, hint, expiresAt } = entry
  return [
    ['-parentID', parentId],
    ['-spiffeID', spiffeId],
    ...selectors.map((selector) => ['-selector', selector]),
    ...(jwtSvidTtlS === undefined ? [] : [['-jwtSVIDTTL', `${jwtSvidTtlS}`]]),
    ...(x509SvidTtlS === undefined ? [] : [['-x509SVIDTTL', `${x509SvidTtlS}`]]),
    ...(hint === undefined ? [] : [['-hint', hint]]),
    ...(entry.federatesWith ?? []).map((domain) => ['-federatesWith', `spiffe://${domain}`]),
    ...(entry.dnsNames ?? []).map((name) => ['-dns', name]),
    ...(expiresAt === undefined ? [] : [['-entryExpiry', `${expiresAt.getTime() / 1000}`]]),
    ...(entry.storeSvid ? [['-storeSVID']] : []),
    ...(entry.admin ? [['-admin']] : []),
    ...(entry.downstream ? [['-downstream']] : []),
  ]
}

function trustDomainOf(spiffeId: string): string {
  return spiffeId.split('/')[2] ?? ''
}
