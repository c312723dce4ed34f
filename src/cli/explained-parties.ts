import { HeraldError } from '../errors/herald-error.ts'
import { audienceOf, type Binding, parseBinding } from '../federation/binding.ts'
import type { RelyingPartyKind } from '../federation/relying-party.ts'
import { relyingParties } from '../federation/relying-party-table.ts'
import type { WorkloadSubject } from './workload-subject.ts'

export type PartyToExplain = {
  readonly kind: RelyingPartyKind
  readonly audience: string
  readonly because: string
  /** The workload may ask for the audience, by a binding or by its allow-list. */
  readonly listed: boolean
  /** The binding's own `spiffe-id`, unchecked; else the identity entry's counts. */
  readonly spiffeId: string | undefined
}

/**
 * The relying parties that a workload's bindings and audiences lead to, or the one that was asked for.
 * @throws ERR_USAGE when the audience is not clear · ERR_FEDERATION_BINDING_INVALID
 */
export function partiesToExplain(
  subject: WorkloadSubject,
  asked: { readonly kind?: RelyingPartyKind | undefined; readonly audience?: string | undefined },
): readonly PartyToExplain[] {
  const bound = subject.credentials.map(({ name = 'default', config }): PartyToExplain => {
    const { 'spiffe-id': spiffeId, ...rest } = config
    const binding = parseBinding(name, rest)
    return {
      kind: kindOfBinding(binding),
      audience: audienceOf(binding),
      because: `binding "${name}"`,
      listed: true,
      spiffeId,
    }
  })
  const listed = subject.audiences.map(
    (audience): PartyToExplain => ({
      kind: kindOfAudience(audience),
      audience,
      because: 'audiences',
      listed: true,
      spiffeId: subject.spiffeId,
    }),
  )
  const { kind } = asked
  if (kind === undefined) return [...bound, ...listed]
  const audience = asked.audience ?? bound.find((party) => party.kind === kind)?.audience ?? usualAudience(kind, listed)
  if (audience === undefined) {
    throw new HeraldError('ERR_USAGE', `which audience ${relyingParties[kind].title} expects is not clear`, {
      hint: 'give --audience',
    })
  }
  const known = [...bound, ...listed].find((party) => party.audience === audience)
  const spiffeId = known?.spiffeId ?? subject.spiffeId
  return [{ kind, audience, because: known?.because ?? '--for', listed: known !== undefined, spiffeId }]
}

function usualAudience(kind: RelyingPartyKind, listed: readonly PartyToExplain[]): string | undefined {
  const fitting = listed.find((party) => party.kind === kind)?.audience
  const [only, ...others] = listed
  return fitting ?? relyingParties[kind].audience.usual ?? (others.length === 0 ? only?.audience : undefined)
}

function kindOfBinding(binding: Binding): RelyingPartyKind {
  if (binding.provider === 'jwt-svid') return kindOfAudience(binding.audience)
  if (binding.provider === 'aws' && binding['role-arn'].startsWith('arn:minio:')) return 'minio'
  return binding.provider
}

function kindOfAudience(audience: string): RelyingPartyKind {
  if (audience === 'sts.amazonaws.com') return 'aws'
  if (audience === 'api://AzureADTokenExchange') return 'azure'
  if (/^(https:)?\/\/iam\.googleapis\.com\//.test(audience)) return 'gcp'
  return 'oidc'
}
