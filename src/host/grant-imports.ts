import type { Capability } from '../capabilities/capability.ts'
import { parseInterfaceName, servesInterface } from '../engine/component-imports.ts'
import type { ComponentDescription } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'

/** A capability a component imports, and the `hostInterfaces` entries that allow it. */
export type Grant = { readonly capability: Capability; readonly entries: readonly [HostInterface, ...HostInterface[]] }

/**
 * Which capability serves each import, if the workload lists it: deny by default. Imports that no capability serves (WASI, and what
 * this host does not know) are left to the engine, which refuses the unknown ones.
 * @throws ERR_WORKLOAD_IMPORT_DENIED
 */
export function grantImports(
  component: string,
  { imports }: ComponentDescription,
  capabilities: readonly Capability[],
  hostInterfaces: readonly HostInterface[],
): readonly Grant[] {
  const granted = new Map<Capability, Set<HostInterface>>()
  for (const { name } of imports) {
    const capability = capabilities.find(({ interfaces }) => interfaces.some((served) => servesInterface(served, name)))
    if (capability === undefined) continue
    const entries = hostInterfaces.filter((entry) => allows(entry, name))
    if (entries.length === 0) throw denied(component, name, hostInterfaces)
    const known = granted.get(capability) ?? new Set()
    for (const entry of entries) known.add(entry)
    granted.set(capability, known)
  }
  return [...granted].flatMap(([capability, entries]) => {
    const [first, ...rest] = entries
    return first === undefined ? [] : [{ capability, entries: [first, ...rest] as const }]
  })
}

/** Whether a `hostInterfaces` entry lists the interface `wanted` (`wasmcloud:identity/store@0.0.1`); an entry without version lists all. */
export function allows(entry: HostInterface, wanted: string): boolean {
  const { base } = parseInterfaceName(wanted)
  const version = entry.version === undefined ? '' : `@${entry.version}`
  return entry.interfaces.some((name) => {
    const offered = `${entry.namespace}:${entry.package}/${name}`
    return offered === base && servesInterface(`${offered}${version}`, wanted)
  })
}

function denied(component: string, wanted: string, hostInterfaces: readonly HostInterface[]): HeraldError {
  const { base, package: wit = '', version } = parseInterfaceName(wanted)
  const [namespace, packageName] = wit.split(':')
  const near = hostInterfaces.some((entry) => entry.namespace === namespace && entry.package === packageName)
  const entry = `{namespace: ${namespace}, package: ${packageName}, interfaces: [${base.slice(wit.length + 1)}]${version === undefined ? '' : `, version: ${version}`}}`
  return new HeraldError(
    'ERR_WORKLOAD_IMPORT_DENIED',
    `component ${component} imports ${wanted}, which its workload ${near ? 'lists with other interfaces or another version' : 'does not list'} in hostInterfaces`,
    { hint: `allow it by an entry such as ${entry}, with the config it needs` },
  )
}
