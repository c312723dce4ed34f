import type { Capability, ListedInterface } from '../capabilities/capability.ts'
import type { InterfaceSignatures } from '../engine/component-binary.ts'
import { interfaceOf, isCallable, servesInterface } from '../engine/component-imports.ts'
import type { ComponentDescription, WitInterface } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import { allows, type Grant, labelledEntry } from './grant-imports.ts'

/**
 * What a component calls in other workloads, and what they may call of it: deny by default on both sides. An import counts if an entry of
 * `hostInterfaces` lists it and names its `callee`; an export if one names its `callers`.
 * @param served interfaces of the host, which stay its own
 * @returns one grant at most
 * @throws ERR_WORKLOAD_LINK_TYPES for functions that cannot be called across components
 */
export function grantListed(
  component: string,
  { imports, exports, signatures }: ComponentDescription,
  capabilities: readonly Capability[],
  hostInterfaces: readonly HostInterface[],
  served: readonly string[],
): readonly Grant[] {
  const capability = capabilities.find(({ servesListed }) => servesListed === true)
  if (capability === undefined) return []
  const listedOf = (
    interfaces: readonly WitInterface[],
    side: keyof Pick<InterfaceSignatures, 'imports' | 'exports'>,
    key: 'callee' | 'callers',
  ): ListedInterface[] =>
    interfaces.flatMap((found): ListedInterface[] => {
      const name = interfaceOf(found)
      const candidates = hostInterfaces.filter(({ config }) => config[key] !== undefined)
      const entry =
        found.implements === undefined
          ? candidates.find((each) => allows(each, name))
          : labelledEntry(candidates, found)
      if (entry === undefined || served.some((each) => servesInterface(each, name))) return []
      const functions = signatures?.[side].get(found.name) ?? []
      const label = found.implements === undefined ? {} : { label: found.name }
      if (isCallable(found, functions)) return [{ name, ...label, functions, entry }]
      throw new HeraldError(
        'ERR_WORKLOAD_LINK_TYPES',
        `component ${component} ${side === 'imports' ? 'calls' : 'offers'} ${name}, whose functions cannot be called from elsewhere`,
        { hint: 'between components go values only: no resources, streams or futures, no async functions' },
      )
    })
  const listed = { imports: listedOf(imports, 'imports', 'callee'), exports: listedOf(exports, 'exports', 'callers') }
  const [first, ...rest] = [...new Set([...listed.imports, ...listed.exports].map(({ entry }) => entry))]
  return first === undefined ? [] : [{ capability, entries: [first, ...rest], exported: [], listed }]
}
