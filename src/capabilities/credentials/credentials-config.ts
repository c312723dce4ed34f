import { HeraldError } from '../../errors/herald-error.ts'
import { type Binding, loopbackEndpointOf, parseBinding } from '../../federation/binding.ts'
import type { HostInterface } from '../../manifest/host-interface.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'

/** What one `hostInterfaces` entry of `herald:credentials` says: one binding. */
export type NamedBinding = {
  /** The entry's `name`; `default` when the only entry has none. */
  readonly name: string
  readonly binding: Binding
  /** The one SPIFFE ID to accept when several entries match. */
  readonly spiffeId: SpiffeId | undefined
}

export const credentialsVersion = '0.1.0'
const maxBindings = 32

/** @throws ERR_FEDERATION_BINDING_INVALID · ERR_SPIFFE_ID_INVALID */
export function parseCredentialsConfig(
  entries: readonly HostInterface[],
  { loopbackEndpoints }: { readonly loopbackEndpoints: boolean },
): readonly NamedBinding[] {
  if (entries.length === 0)
    throw invalid('the workload does not list it in hostInterfaces', 'Add one entry per binding.')
  if (entries.length > maxBindings) throw invalid(`it has more than ${maxBindings} bindings`, 'List fewer.')
  const bindings = entries.map((entry) => {
    if (entry.version !== undefined && entry.version !== credentialsVersion) {
      throw invalid(`version ${JSON.stringify(entry.version)} is not served`, `Ask for version ${credentialsVersion}.`)
    }
    const other = entry.interfaces.find((name) => name !== 'store' && name !== 'files')
    if (other !== undefined)
      throw invalid(`there is no interface ${JSON.stringify(other)}`, 'List interfaces: [store], or [files], or both.')
    const name = entry.name ?? (entries.length === 1 ? 'default' : undefined)
    if (name === undefined)
      throw invalid('an entry has no name', 'Give each entry a name: it is what the component asks for.')
    const { 'spiffe-id': spiffeId, ...config } = entry.config
    const binding = parseBinding(name, config)
    const loopback = loopbackEndpoints ? undefined : loopbackEndpointOf(binding)
    if (loopback !== undefined) {
      throw invalid(
        `the binding ${JSON.stringify(name)} leads to ${loopback} on the host itself`,
        'Name the other system by a name that leads off the host: only development hosts permit their own loopback.',
      )
    }
    return {
      name,
      binding,
      spiffeId: spiffeId === undefined ? undefined : parseSpiffeId(spiffeId),
    }
  })
  const twice = bindings.find(({ name }, index) => bindings.findIndex((other) => other.name === name) !== index)
  if (twice !== undefined) throw invalid(`two entries are named ${JSON.stringify(twice.name)}`, 'Rename one of them.')
  return bindings
}

function invalid(what: string, hint: string): HeraldError {
  return new HeraldError('ERR_FEDERATION_BINDING_INVALID', `herald:credentials: ${what}`, { hint })
}
