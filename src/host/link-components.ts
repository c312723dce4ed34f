import { interfaceOf, parseInterfaceName, servesInterface, unsupportedWasi } from '../engine/component-imports.ts'
import type { ComponentDescription, ComponentLink, WitInterface } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import { describeSignature, sameFunction, unsupportedIn } from '../wit/wit-type.ts'
import { allows, labelledEntry } from './grant-imports.ts'

export type LinkableComponent = {
  readonly name: string
  readonly description: ComponentDescription
  /** Calls others, and is called by none: it runs once, for as long as the workload. */
  readonly isService: boolean
}

type Found = { readonly component: LinkableComponent; readonly exported: WitInterface }

/**
 * Which component of a workload serves what another one imports. What the host serves itself is the host's; an entry of `hostInterfaces` for
 * the interface may say `component: NAME` where several export it, or `callee: …` for one that runs elsewhere. Imports that nobody
 * serves are left to the engine, which refuses them.
 * @param hostServed interfaces of the host, with or without version
 * @returns links by the importing component's name
 * @throws ERR_WORKLOAD_LINK_AMBIGUOUS, ERR_WORKLOAD_LINK_CYCLE, ERR_WORKLOAD_LINK_TYPES
 */
export function linkComponents(
  components: readonly LinkableComponent[],
  hostServed: readonly string[],
  hostInterfaces: readonly HostInterface[],
): ReadonlyMap<string, readonly ComponentLink[]> {
  const links = new Map<string, readonly ComponentLink[]>()
  for (const importing of components) {
    const own: ComponentLink[] = []
    for (const wanted of importing.description.imports) {
      const name = interfaceOf(wanted)
      if (unsupportedWasi([wanted]) !== undefined || hostServed.some((served) => servesInterface(served, name)))
        continue
      const entry =
        wanted.implements === undefined
          ? hostInterfaces.find((each) => allows(each, name))
          : labelledEntry(hostInterfaces, wanted)
      if (entry?.config.callee !== undefined) continue
      const found = choose(importing, wanted, components, entry?.config.component)
      if (found === undefined) continue
      checkTypes(importing, wanted, found)
      const { base } = parseInterfaceName(wanted.name)
      if (own.some(({ imported }) => parseInterfaceName(imported).base === base)) {
        throw new HeraldError(
          'ERR_WORKLOAD_LINK_TYPES',
          `component ${importing.name} imports two versions of ${base}`,
          {
            hint: 'build it against one of them',
          },
        )
      }
      own.push({
        imported: wanted.name,
        functions: wanted.functions,
        component: found.component.name,
        exported: found.exported.name,
      })
    }
    links.set(importing.name, own)
  }
  refuseCycles(links)
  return links
}

function choose(
  importing: LinkableComponent,
  wanted: WitInterface,
  components: readonly LinkableComponent[],
  preferred: string | undefined,
): Found | undefined {
  const name = interfaceOf(wanted)
  const candidates = components.flatMap((component): Found[] => {
    if (component === importing || component.isService) return []
    const exported = component.description.exports.find((each) => servesInterface(each.name, name))
    return exported === undefined ? [] : [{ component, exported }]
  })
  if (preferred !== undefined) {
    const chosen = candidates.find(({ component }) => component.name === preferred)
    if (chosen !== undefined) return chosen
    const whoDo = candidates.length === 0 ? 'none does' : `${namesOf(candidates)} do`
    throw new HeraldError(
      'ERR_WORKLOAD_LINK_AMBIGUOUS',
      `component ${importing.name} imports ${name}; the component ${JSON.stringify(preferred.slice(0, 80))} that hostInterfaces names for it does not export it`,
      { hint: `name another component of the workload that exports it (${whoDo})` },
    )
  }
  // A label may say it by itself.
  const meant = wanted.implements && candidates.find(({ component }) => component.name === wanted.name)
  if (meant) return meant
  const [only, ...others] = candidates
  if (others.length === 0) return only
  throw new HeraldError(
    'ERR_WORKLOAD_LINK_AMBIGUOUS',
    `component ${importing.name} imports ${name}, which ${namesOf(candidates)} export`,
    {
      hint: `say which: an entry of hostInterfaces for ${name}${wanted.implements === undefined ? '' : ` with the name ${wanted.name}, and`} with config {component: ${only!.component.name}}`,
    },
  )
}

/** Every function that is imported must be exported with the same types, and be one that can be called across components. */
function checkTypes(importing: LinkableComponent, wanted: WitInterface, { component, exported }: Found): void {
  const imported = importing.description.signatures?.imports.get(wanted.name) ?? []
  const offered = component.description.signatures?.exports.get(exported.name) ?? []
  for (const name of wanted.functions) {
    const one = imported.find((each) => each.name === name)
    const other = offered.find((each) => each.name === name)
    const what = `${wanted.name}#${name}`
    if (other === undefined && !exported.functions.includes(name)) {
      throw mismatch(
        `component ${importing.name} calls ${what}, which component ${component.name} does not have in ${exported.name}`,
      )
    }
    const obstacle =
      one === undefined || other === undefined
        ? 'types that cannot be read'
        : (unsupportedIn(one) ?? unsupportedIn(other))
    if (obstacle !== undefined) {
      throw new HeraldError(
        'ERR_WORKLOAD_LINK_TYPES',
        `component ${importing.name} calls ${what} of component ${component.name}, whose signature has ${obstacle}`,
        { hint: 'between components go values only: no resources, streams or futures, no async functions' },
      )
    }
    if (!sameFunction(one!, other!)) {
      throw mismatch(
        `component ${importing.name} calls ${what} as ${describeSignature(one!)}, and component ${component.name} has it as ${describeSignature(other!)}`,
      )
    }
  }
}

function refuseCycles(links: ReadonlyMap<string, readonly ComponentLink[]>): void {
  const done = new Set<string>()
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name)) {
      const circle = [...path.slice(path.indexOf(name)), name].join(' → ')
      throw new HeraldError('ERR_WORKLOAD_LINK_CYCLE', `components call each other in a circle: ${circle}`, {
        hint: 'a call would wait for itself: take one of these imports out, or send a message instead',
      })
    }
    if (done.has(name)) return
    for (const { component } of links.get(name) ?? []) visit(component, [...path, name])
    done.add(name)
  }
  for (const name of links.keys()) visit(name, [])
}

function mismatch(message: string): HeraldError {
  return new HeraldError('ERR_WORKLOAD_LINK_TYPES', message, {
    hint: 'build both against the same version of the interface',
  })
}

function namesOf(candidates: readonly Found[]): string {
  return candidates.map(({ component }) => component.name).join(' and ')
}
