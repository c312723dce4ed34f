import type { Finding } from '../federation/finding.ts'
import type { NearEntry, RegistrationEntry } from '../federation/registration-entries.ts'
import type { RelyingPartyKind } from '../federation/relying-party.ts'

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
  /** Only with the server's entries. */
  readonly entries: { readonly matching: readonly RegistrationEntry[]; readonly near: readonly NearEntry[] } | undefined
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
  const { component, selectors, entries, identity, parties, cause } = explanation
  const width = Math.max(...selectors.map(({ selector }) => selector.length))
  const lines = [
    `${component.name} of ${component.namespace}/${component.workload}, image ${component.image}`,
    '',
    'Stated to SPIRE:',
    ...selectors.map(({ selector, from }) => `  ${selector.padEnd(width)}  from ${from}`),
    '',
  ]
  if (entries !== undefined) {
    lines.push('Registration entries:')
    for (const { id, spiffeId } of entries.matching) lines.push(`  matches   ${spiffeId}  (entry ${id})`)
    for (const { entry, missing } of entries.near) {
      lines.push(`  does not  ${entry.spiffeId}  (entry ${entry.id}): wants ${missing.join(' and ')}`)
    }
    if (entries.matching.length + entries.near.length === 0) lines.push('  none has a wasmcloud selector')
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
