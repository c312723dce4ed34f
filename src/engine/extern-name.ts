import { checkName } from './component-name.ts'
import type { WasmReader } from './wasm-reader.ts'

/** What an index is of (Binary.md, "Component Definitions"): 1 functions, 3 types, 4 components, 5 instances; 0 something of core modules. */
export function readSort(section: WasmReader): number {
  const sort = section.byte()
  if (sort === 0) section.byte()
  return sort
}

/** For what cannot be said more of. */
export function readExternName(section: WasmReader): string {
  return readExtern(section).name
}

/** A name, and with kind 2 what is said of it: Binary.md, "Import and Export Definitions". */
export function readExtern(section: WasmReader): { name: string; implemented?: string } {
  const kind = section.byte()
  if (kind > 2) section.fail('unknown kind of name')
  const name = checkName(section.name())
  if (kind < 2) return { name }
  let implemented: string | undefined
  for (let n = section.u32(); n > 0; n--) {
    const said = section.byte()
    const value = checkName(section.name())
    if (said !== 0 || implemented !== undefined)
      section.fail(
        `the name ${JSON.stringify(name)} has ${said === 2 ? 'an external-id' : 'something said of it'} that is not known here`,
      )
    implemented = value
  }
  return implemented === undefined ? { name } : { name, implemented }
}
