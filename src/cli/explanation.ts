import type { Finding } from '../federation/finding.ts'
import type { RelyingPartyKind } from '../federation/relying-party.ts'
import type { EntryDiagnosis, Obstacle, Unmet } from '../identity/entry-diagnosis.ts'
import type { RegistrationEntry } from '../identity/registration-entry.ts'
import type { AgentInfo } from '../identity/spire/agent-info.ts'

/** What `herald identity explain` found out. Holds no token. */
export type Explanation = {
  readonly component: {
    readonly namespace: string
    readonly workload: string
    readonly name: string
    readonly image: string
  }
  /** What the host would state, and where each fact comes from. */
  readonly selectors: readonly { readonly selector: string; readonly from: string }[]
  /** The SPIRE agent that was asked, if it said who it is. */
  readonly agent: AgentInfo | undefined
  /** Only with the server's entries; `count` of all. */
  readonly entries: (EntryDiagnosis & { readonly from: 'server' | 'file'; readonly count: number }) | undefined
  readonly identity: IdentityOutcome
  readonly parties: readonly PartyOutcome[]
  /** What to mend first; undefined when nothing stands against it. */
  readonly cause: Cause | undefined
}

export type Cause = { readonly name: string; readonly detail: string; readonly mend: string }

export type IdentityOutcome =
  | {
      readonly kind: 'issued'
      readonly by: 'SPIRE' | 'herald dev'
      readonly spiffeId: string
      readonly candidates: readonly string[]
    }
  | {
      readonly kind: 'refused'
      readonly code: string
      readonly exitCode: number
      readonly message: string
      readonly mend: string
    }
  | { readonly kind: 'not-asked'; readonly reason: string }

export type PartyOutcome = {
  readonly party: RelyingPartyKind
  readonly title: string
  readonly audience: string
  /** Why it is looked at: `binding "storage"`, `audiences`, `--for`. */
  readonly because: string
  readonly verdict: 'accepted' | 'risky' | 'refused' | 'unknown'
  readonly findings: readonly Finding[]
}

export function describeExplanation(explanation: Explanation): string {
  const { component, selectors, agent, entries, identity, parties, cause } = explanation
  const width = Math.max(...selectors.map(({ selector }) => selector.length))
  const lines = [
    `${component.name} of ${component.namespace}/${component.workload}, image ${component.image}`,
    '',
    'Stated to SPIRE:',
    ...selectors.map(({ selector, from }) => `  ${selector.padEnd(width)}  from ${from}`),
    '',
  ]
  if (agent !== undefined) {
    const synced = agent.lastSync === undefined ? '' : `, last synced ${agent.lastSync.toISOString()}`
    lines.push(`Agent: ${agent.spiffeId}${synced}`, '')
  }
  if (entries !== undefined) {
    lines.push(
      `Registration entries, of ${entries.count} ${entries.from === 'server' ? 'on the server' : 'in the file'}:`,
    )
    for (const { entry, obstacle } of entries.matching.slice(0, shownEntries)) {
      lines.push(`  matches   ${entry.spiffeId}  (${describeEntry(entry)})`)
      if (obstacle !== undefined) lines.push(`            but ${describeObstacle(obstacle)}`)
    }
    const more = entries.matching.length - shownEntries
    if (more > 0) lines.push(`            and ${more} more`)
    for (const { entry, unmet } of entries.near) {
      lines.push(`  does not  ${entry.spiffeId}  (${describeEntry(entry)})`)
      for (const each of unmet) lines.push(`            wants ${describeUnmet(each)}`)
    }
    if (entries.matching.length + entries.near.length === 0) lines.push('  none is of this component, or nearly')
    lines.push('')
  }
  lines.push(`Identity: ${describeIdentity(identity)}`, '')
  for (const { title, audience, because, verdict, findings } of parties) {
    lines.push(`${title}, audience ${audience} (${because}): ${verdict}`)
    for (const { cause: name, detail, severity } of findings) lines.push(`  ${severity} ${name}: ${detail}`)
  }
  if (parties.length > 0) lines.push('')
  lines.push(
    cause === undefined ? 'Nothing stands against it.' : `Cause: ${cause.name}: ${cause.detail}\nMend:  ${cause.mend}`,
  )
  return `${lines.join('\n')}\n`
}

/** Of those that match: an ambiguous component may have thousands. */
const shownEntries = 8

function describeEntry({ id, parentId, hint, jwtSvidTtlS, x509SvidTtlS, expiresAt }: RegistrationEntry): string {
  return [
    `entry ${id}, parent ${parentId}`,
    ...(hint === undefined ? [] : [`hint ${JSON.stringify(hint)}`]),
    ...(jwtSvidTtlS === undefined ? [] : [`JWT-SVIDs of ${jwtSvidTtlS} s`]),
    ...(x509SvidTtlS === undefined ? [] : [`X.509-SVIDs of ${x509SvidTtlS} s`]),
    ...(expiresAt === undefined ? [] : [`expires ${expiresAt.toISOString()}`]),
  ].join(', ')
}

function describeObstacle(obstacle: Obstacle): string {
  switch (obstacle.kind) {
    case 'stored':
      return 'its SVIDs go to an SVIDStore plugin'
    case 'withheld':
      return 'it has admin or downstream, which agents give to no delegate'
    case 'expired':
      return 'it has expired'
    case 'parent-unknown':
      return 'its parent is no agent and no entry'
    case 'parent-elsewhere':
      return `its parent is below ${obstacle.agents.slice(0, 3).join(', ')}`
    case 'not-synced':
      return 'the agent has not taken it over yet'
  }
}

function describeUnmet({ selector, kind, instead }: Unmet): string {
  const why = {
    'other-type': 'a type that is never stated of a component',
    'unknown-key': 'a key that no host states',
    'other-value': 'another value',
    'not-stated': 'not stated here',
  }[kind]
  return instead === undefined ? `${selector}: ${why}` : `${selector}: ${why}; stated is ${instead}`
}

function describeIdentity(identity: IdentityOutcome): string {
  switch (identity.kind) {
    case 'issued': {
      const others = identity.candidates.filter((candidate) => candidate !== identity.spiffeId)
      const beside = others.length === 0 ? '' : `, chosen by spiffe-id beside ${others.join(', ')}`
      return `${identity.spiffeId}, issued by ${identity.by}${beside}`
    }
    case 'refused':
      return `none: ${identity.message}`
    case 'not-asked':
      return `not asked for: ${identity.reason}`
  }
}
