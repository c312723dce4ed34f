import { HeraldError } from '../errors/herald-error.ts'
import { unsupportedIn, type WitFunction } from '../wit/wit-type.ts'
import type { WitInterface } from './engine.ts'

/** `ns:pkg/iface@1.2.3` in its parts. A bare function of the world has neither package nor version. */
export function parseInterfaceName(name: string): {
  base: string
  package: string | undefined
  version: string | undefined
} {
  const at = name.indexOf('@')
  const base = at < 0 ? name : name.slice(0, at)
  const slash = base.indexOf('/')
  return {
    base,
    package: slash < 0 ? undefined : base.slice(0, slash),
    version: at < 0 ? undefined : name.slice(at + 1),
  }
}

/** Which interface it is, with version, whatever the component calls it. */
export function interfaceOf({ name, implements: implemented }: Pick<WitInterface, 'name' | 'implements'>): string {
  return implemented ?? name
}

/**
 * Whether an interface offered as `offered` serves an import of `wanted`: the same interface, and versions that semantic
 * versioning calls compatible (same major; below 1.0 same minor; below 0.1 same patch). Pre-releases only match themselves.
 */
export function servesInterface(offered: string, wanted: string): boolean {
  const left = parseInterfaceName(offered)
  const right = parseInterfaceName(wanted)
  if (left.base !== right.base) return false
  if (left.version === undefined || right.version === undefined) return true
  return compatibilityTrack(left.version) === compatibilityTrack(right.version)
}

function compatibilityTrack(version: string): string {
  const match = /^(\d+)\.(\d+)\.(\d+)(-[^+]*)?(\+.*)?$/.exec(version)
  if (match === null || match[4] !== undefined) return version
  const [, major, minor, patch] = match
  if (major !== '0') return major!
  return minor !== '0' ? `0.${minor}` : `0.0.${patch}`
}

/** Whether other components can call all of an exported interface, or serve all of an imported one: values only go from one to another. */
export function isCallable(found: WitInterface, signatures: readonly WitFunction[] = []): boolean {
  const { functions } = found
  return (
    !interfaceOf(found).startsWith('wasi:') &&
    functions.length > 0 &&
    signatures.length === functions.length &&
    signatures.every((each) => unsupportedIn(each) === undefined)
  )
}

/** WASI of a generation that this host does not serve: 0.3 (async), or a release candidate of 0.2. */
export function unsupportedWasi(interfaces: readonly WitInterface[]): string | undefined {
  return interfaces.map(interfaceOf).find((name) => {
    const { package: pkg, version } = parseInterfaceName(name)
    return pkg?.startsWith('wasi:') && version !== undefined && wasiGeneration.test(pkg) && !/^0\.2\.\d+$/.test(version)
  })
}

const wasiGeneration = /^wasi:(io|clocks|random|cli|filesystem|http|sockets)$/

/**
 * @param served interfaces of this host, with or without version
 * @throws ERR_COMPONENT_WASI_VERSION, ERR_COMPONENT_IMPORT_UNKNOWN
 */
export function checkImports(component: string, imports: readonly WitInterface[], served: readonly string[]): void {
  const foreign = unsupportedWasi(imports)
  if (foreign !== undefined) {
    throw new HeraldError(
      'ERR_COMPONENT_WASI_VERSION',
      `component ${component} imports ${foreign}; this host serves WASI 0.2`,
      {
        hint: 'build the component for WASI 0.2 (target wasm32-wasip2)',
      },
    )
  }
  const unknown = imports.filter(({ name }) => !served.some((offered) => servesInterface(offered, name)))
  if (unknown.length > 0) {
    const names = unknown.slice(0, 5).map((each) => (each.implements === undefined ? each.name : labelled(each)))
    const more = unknown.length > 5 ? ` and ${unknown.length - 5} more` : ''
    throw new HeraldError(
      'ERR_COMPONENT_IMPORT_UNKNOWN',
      `component ${component} imports ${names.join(', ')}${more}, which this host does not serve`,
      {
        hint: unknown.some((each) => each.implements?.startsWith('wasi:'))
          ? 'a label of the component’s own is served where an entry of hostInterfaces has that name, not for the WASI of the host itself: import that without a label'
          : 'see which interfaces are served with: herald inspect FILE; one of your own needs a component of the same workload that exports it',
      },
    )
  }
}

function labelled({ name, implements: implemented }: WitInterface): string {
  return `${implemented} as ${JSON.stringify(name)}`
}
