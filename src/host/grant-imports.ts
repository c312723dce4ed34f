import type { Capability, ListedInterfaces } from '../capabilities/capability.ts'
import { interfaceOf, parseInterfaceName, servesInterface } from '../engine/component-imports.ts'
import type { ComponentDescription, WitInterface } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'

/** A capability a component imports, and the `hostInterfaces` entries that allow it. */
export type Grant = {
  readonly capability: Capability
  readonly entries: readonly [HostInterface, ...HostInterface[]]
  /** Of the capability's `handles`, those that the component exports, without version. */
  readonly exported: readonly string[]
  /** The one import that it serves, under the component's own label for it. Default: all of its interfaces, by their names. */
  readonly labelled?: { readonly label: string; readonly interface: string }
  /** Of a capability with `servesListed`. */
  readonly listed?: ListedInterfaces
}

/**
 * Which capability serves each import, and calls each export that is one of its `handles`, if the workload lists it: deny by default. Imports that no capability serves (WASI, and what
 * this host does not know) are left to the engine, which refuses the unknown ones.
 * @throws ERR_WORKLOAD_IMPORT_DENIED
 */
export function grantImports(
  component: string,
  { imports, exports }: ComponentDescription,
  capabilities: readonly Capability[],
  hostInterfaces: readonly HostInterface[],
): readonly Grant[] {
  const granted = new Map<Capability, { entries: Set<HostInterface>; exported: Set<string> }>()
  const grant = (capability: Capability, name: string, verb: 'imports' | 'exports'): void => {
    const entries = hostInterfaces.filter((entry) => allows(entry, name))
    if (entries.length === 0) throw denied(component, verb, name, hostInterfaces)
    const known = granted.get(capability) ?? { entries: new Set(), exported: new Set() }
    for (const entry of entries) known.entries.add(entry)
    if (verb === 'exports') known.exported.add(parseInterfaceName(name).base)
    granted.set(capability, known)
  }
  const labelled: Grant[] = []
  for (const imported of imports) {
    const name = interfaceOf(imported)
    const capability = capabilities.find(({ interfaces }) => interfaces.some((served) => servesInterface(served, name)))
    if (capability === undefined) continue
    if (imported.implements === undefined) grant(capability, name, 'imports')
    else labelled.push(grantLabel(component, imported, capability, hostInterfaces))
  }
  for (const { name } of exports) {
    const capability = capabilities.find(({ handles }) => handles?.some((handled) => servesInterface(handled, name)))
    if (capability !== undefined) grant(capability, name, 'exports')
  }
  for (const capability of capabilities) {
    const accompanied = imports.some(({ name }) => capability.accompanies?.some((each) => servesInterface(each, name)))
    if (!accompanied) continue
    for (const name of capability.interfaces) {
      if (hostInterfaces.some((entry) => allows(entry, name))) grant(capability, name, 'imports')
    }
  }
  const unlabelled = [...granted].flatMap(([capability, { entries, exported }]): Grant[] => {
    const [first, ...rest] = entries
    return first === undefined ? [] : [{ capability, entries: [first, ...rest], exported: [...exported] }]
  })
  return [...unlabelled, ...labelled]
}

/** A label is the `name` of an entry, which is all that this import reaches: as if it were the only one, and had no name. */
function grantLabel(
  component: string,
  imported: WitInterface,
  capability: Capability,
  hostInterfaces: readonly HostInterface[],
): Grant {
  const wanted = interfaceOf(imported)
  const entry = labelledEntry(hostInterfaces, imported)
  if (entry === undefined) throw denied(component, 'imports', wanted, hostInterfaces, imported.name)
  const labelled = { label: imported.name, interface: parseInterfaceName(wanted).base }
  return { capability, entries: [{ ...entry, name: undefined }], exported: [], labelled }
}

/** The entry that an import with a label means. */
export function labelledEntry(
  hostInterfaces: readonly HostInterface[],
  imported: WitInterface,
): HostInterface | undefined {
  return hostInterfaces.find((entry) => entry.name === imported.name && allows(entry, interfaceOf(imported)))
}

/**
 * Whether a `hostInterfaces` entry lists the interface `wanted` (`wasmcloud:identity/store@0.0.1`); an entry without version lists all.
 * An interface `types` comes with whatever the entry lists of its package: it is of no use alone.
 */
export function allows(entry: HostInterface, wanted: string): boolean {
  const { base } = parseInterfaceName(wanted)
  const version = entry.version === undefined ? '' : `@${entry.version}`
  const implied = entry.interfaces.length > 0 ? ['types'] : []
  return [...entry.interfaces, ...implied].some((name) => {
    const offered = `${entry.namespace}:${entry.package}/${name}`
    return offered === base && servesInterface(`${offered}${version}`, wanted)
  })
}

function denied(
  component: string,
  verb: 'imports' | 'exports',
  wanted: string,
  hostInterfaces: readonly HostInterface[],
  label?: string,
): HeraldError {
  const { base, package: wit = '', version } = parseInterfaceName(wanted)
  const [namespace, packageName] = wit.split(':')
  const near = hostInterfaces.some((entry) => entry.namespace === namespace && entry.package === packageName)
  const named = label === undefined ? '' : `, name: ${label}`
  const entry = `{namespace: ${namespace}, package: ${packageName}, interfaces: [${base.slice(wit.length + 1)}]${version === undefined ? '' : `, version: ${version}`}${named}}`
  return new HeraldError(
    'ERR_WORKLOAD_IMPORT_DENIED',
    `component ${component} ${verb} ${wanted}${label === undefined ? '' : ` as ${JSON.stringify(label)}`}, which its workload ${near ? `lists with other interfaces or another ${label === undefined ? 'version' : 'name'}` : 'does not list'} in hostInterfaces`,
    { hint: `allow it by an entry such as ${entry}, with the config it needs` },
  )
}
