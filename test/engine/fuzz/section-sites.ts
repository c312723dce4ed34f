import { WasmReader } from '../../../src/engine/wasm-reader.ts'

/** Where a section of a component, or of a module or component inside it, lies. */
export type SectionSite = {
  /** Of the section's id byte. */
  readonly start: number
  /** Of the first byte of its length, and how many bytes that takes. */
  readonly lengthAt: number
  readonly lengthBytes: number
  readonly end: number
}

/** All sections of a valid component, those nested in it too. */
export function sectionSites(component: Uint8Array): SectionSite[] {
  const sites: SectionSite[] = []
  const walk = (reader: WasmReader): void => {
    reader.skip(6)
    const isComponent = reader.byte() === 1
    reader.skip(1)
    while (!reader.atEnd) {
      const start = reader.offset
      const id = reader.byte()
      const lengthAt = reader.offset
      const length = reader.u32()
      const content = reader.offset
      const section = reader.sub(length)
      sites.push({ start, lengthAt, lengthBytes: content - lengthAt, end: section.end })
      if (isComponent && (id === 1 || id === 4)) walk(section)
    }
  }
  walk(new WasmReader(component))
  return sites
}
