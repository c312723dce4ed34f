import { HeraldError } from '../../errors/herald-error.ts'
import { type EgressCertificate, parseEgressCertificate } from '../../federation/egress-certificate.ts'
import { type EgressSigning, loopbackExchangeOf, parseEgressSigning } from '../../federation/egress-signing.ts'
import type { HostInterface } from '../../manifest/host-interface.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'

/** What one `hostInterfaces` entry of `herald:egress` says: requests to one origin are signed. */
export type NamedSigning = {
  /** The entry's `name`; `default` when the only entry has none. */
  readonly name: string
  readonly signing: EgressSigning | EgressCertificate
  /** The one SPIFFE ID to accept when several entries match. */
  readonly spiffeId: SpiffeId | undefined
}

export const egressVersion = '0.1.0'
const maxSignings = 32

/** @throws ERR_FEDERATION_BINDING_INVALID · ERR_SPIFFE_ID_INVALID */
export function parseEgressConfig(
  entries: readonly HostInterface[],
  { loopbackEndpoints }: { readonly loopbackEndpoints: boolean },
): readonly NamedSigning[] {
  if (entries.length > maxSignings) throw invalid(`it has more than ${maxSignings} entries`, 'List fewer.')
  const signings = entries.map((entry): NamedSigning => {
    if (entry.version !== undefined && entry.version !== egressVersion) {
      throw invalid(`version ${JSON.stringify(entry.version)} is not served`, `Ask for version ${egressVersion}.`)
    }
    const other = entry.interfaces.find((name) => name !== 'signing')
    if (other !== undefined)
      throw invalid(`there is no interface ${JSON.stringify(other)}`, 'List interfaces: [signing].')
    const name = entry.name ?? (entries.length === 1 ? 'default' : undefined)
    if (name === undefined)
      throw invalid('an entry has no name', 'Give each entry a name: audit events tell them by it.')
    const { 'spiffe-id': spiffeId, ...config } = entry.config
    const certificate = parseEgressCertificate(name, config)
    const signing = certificate ?? parseEgressSigning(name, config)
    const loopback = loopbackEndpoints || !('binding' in signing) ? undefined : loopbackExchangeOf(signing)
    if (loopback !== undefined) {
      throw invalid(
        `the entry ${JSON.stringify(name)} gets its credentials at ${loopback} on the host itself`,
        'Name the other system by a name that leads off the host: only development hosts permit their own loopback.',
      )
    }
    return { name, signing, spiffeId: spiffeId === undefined ? undefined : parseSpiffeId(spiffeId) }
  })
  for (const [index, { name, signing }] of signings.entries()) {
    const twin = signings
      .slice(0, index)
      .find((earlier) => earlier.name === name || earlier.signing.origin === signing.origin)
    if (twin === undefined) continue
    if (twin.name === name) throw invalid(`two entries are named ${JSON.stringify(name)}`, 'Rename one of them.')
    throw invalid(
      `two entries sign requests to ${signing.origin}`,
      'Keep one: which of them signs must not be a matter of luck.',
    )
  }
  return signings
}

function invalid(what: string, hint: string): HeraldError {
  return new HeraldError('ERR_FEDERATION_BINDING_INVALID', `herald:egress: ${what}`, { hint })
}
