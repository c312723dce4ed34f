import { HeraldError } from '../../errors/herald-error.ts'
import type { HostInterface } from '../../manifest/host-interface.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'

export const heraldIdentityVersion = '0.1.0'
const interfaceNames = ['caller', 'component', 'verifier', 'x509']

/** What the entries of `herald:identity` say: nothing but, perhaps, the one SPIFFE ID to accept. @throws ERR_IDENTITY_CONFIG_INVALID */
export function parseHeraldIdentityConfig(entries: readonly HostInterface[]): {
  readonly spiffeId: SpiffeId | undefined
} {
  const [entry, second] = entries
  if (entry === undefined) throw invalid('the workload does not list it in hostInterfaces', 'add an entry')
  if (second !== undefined)
    throw invalid('it is listed more than once in hostInterfaces', 'keep one entry with all interfaces')
  if (entry.version !== undefined && entry.version !== heraldIdentityVersion) {
    throw invalid(`version ${JSON.stringify(entry.version)} is not served`, `ask for version ${heraldIdentityVersion}`)
  }
  const other = entry.interfaces.find((name) => !interfaceNames.includes(name))
  if (other !== undefined) {
    throw invalid(`there is no interface ${JSON.stringify(other)}`, `the interfaces are ${interfaceNames.join(', ')}`)
  }
  const { 'spiffe-id': spiffeId, ...unknown } = entry.config
  const [unknownKey] = Object.keys(unknown)
  if (unknownKey !== undefined) {
    throw invalid(`unknown key ${JSON.stringify(unknownKey.slice(0, 80))} in config`, 'the only key is spiffe-id')
  }
  return { spiffeId: spiffeId === undefined ? undefined : parseSpiffeId(spiffeId) }
}

function invalid(what: string, hint: string): HeraldError {
  return new HeraldError('ERR_IDENTITY_CONFIG_INVALID', `herald:identity: ${what}`, { hint })
}
