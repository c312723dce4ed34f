import { checkName } from './component-name.ts'
import { encodeUnsigned, WasmFormatError, WasmReader } from './wasm-reader.ts'

const pageBytes = 65_536
/** Elements a table may grow to beyond its own minimum: a table costs host memory that no linear-memory cap sees. */
const maxTableElements = 1_000_000n

export type Limits = { readonly flags: number; readonly min: bigint; readonly max: bigint | undefined }

export type CoreModuleFacts = {
  /** Sum over the memories that the module itself defines, bytes. */
  readonly minimumMemoryBytes: number
  readonly memories: readonly Limits[]
  readonly exportNames: readonly string[]
}

/** Names, memories and section bounds of a core module (core specification §5.5). Function bodies are left to V8. */
export function readCoreModule(reader: WasmReader): CoreModuleFacts {
  readCorePreamble(reader)
  const memories: Limits[] = []
  const exportNames: string[] = []
  while (!reader.atEnd) {
    const id = reader.byte()
    const section = reader.sub(reader.u32())
    if (id === 2) readImports(section)
    else if (id === 5) for (let n = section.u32(); n > 0; n--) memories.push(readLimits(section))
    else if (id === 7) readExports(section, exportNames)
  }
  const minimum = memories.reduce((sum, memory) => sum + memory.min * BigInt(pageBytes), 0n)
  return { memories, minimumMemoryBytes: Number(minimum), exportNames }
}

/**
 * The module with every memory it defines limited to `maxBytes` and every table to a fixed bound, by their sections' maximum.
 * @throws WasmFormatError when a memory's minimum is above the cap: callers check {@link readCoreModule} first.
 */
export function capMemory(module: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const reader = new WasmReader(module)
  readCorePreamble(reader)
  const parts: Uint8Array[] = [module.subarray(0, reader.offset)]
  while (!reader.atEnd) {
    const start = reader.offset
    const id = reader.byte()
    const section = reader.sub(reader.u32())
    if (id === 4 || id === 5) {
      const body = id === 5 ? cappedMemories(section, maxBytes) : cappedTables(section)
      parts.push(Uint8Array.from([id, ...encodeUnsigned(body.length), ...body]))
    } else parts.push(module.subarray(start, reader.offset))
  }
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function cappedMemories(section: WasmReader, maxBytes: number): number[] {
  const maxPages = BigInt(Math.floor(maxBytes / pageBytes))
  const count = section.u32()
  const out = encodeUnsigned(count)
  for (let n = 0; n < count; n++) {
    const { flags, min, max } = readLimits(section)
    if (min > maxPages) throw new WasmFormatError('a memory is larger than the cap')
    const capped = max === undefined || max > maxPages ? maxPages : max
    out.push(flags | 1, ...encodeUnsigned(min), ...encodeUnsigned(capped))
  }
  return out
}

function cappedTables(section: WasmReader): number[] {
  const unchanged = () => [...section.bytes.subarray(start, section.end)]
  const start = section.offset
  const count = section.u32()
  const out = encodeUnsigned(count)
  for (let n = 0; n < count; n++) {
    const type = section.byte()
    // A table with an initialiser expression (0x40), or of a reference type of more than one byte: V8's own bound (10 M) holds.
    if (type !== 0x70 && type !== 0x6f) return unchanged()
    const { flags, min, max } = readLimits(section)
    if (flags & ~1) return unchanged()
    const bound = min > maxTableElements ? min : maxTableElements
    const capped = max === undefined || max > bound ? bound : max
    out.push(type, 1, ...encodeUnsigned(min), ...encodeUnsigned(capped))
  }
  return out
}

function readCorePreamble(reader: WasmReader): void {
  const expected = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
  if (expected.some((byte) => reader.byte() !== byte)) reader.fail('not a core module')
}

function readImports(section: WasmReader): void {
  for (let n = section.u32(); n > 0; n--) {
    checkName(section.name())
    checkName(section.name())
    const kind = section.byte()
    if (kind === 0) section.u32()
    else if (kind === 1) {
      readReferenceType(section)
      readLimits(section)
    } else if (kind === 2) readLimits(section)
    else if (kind === 3) {
      readValueType(section)
      section.byte()
    } else if (kind === 4) {
      section.byte()
      section.u32()
    } else section.fail('unknown kind of import')
  }
}

function readExports(section: WasmReader, names: string[]): void {
  for (let n = section.u32(); n > 0; n--) {
    names.push(checkName(section.name()))
    section.byte()
    section.u32()
  }
}

function readValueType(section: WasmReader): void {
  const code = section.byte()
  if (code === 0x63 || code === 0x64) section.s33()
}

function readReferenceType(section: WasmReader): void {
  readValueType(section)
}

function readLimits(section: WasmReader): Limits {
  const flags = section.byte()
  if (flags & ~0x07) section.fail('unknown kind of memory')
  const min = section.u64()
  return { flags, min, max: flags & 1 ? section.u64() : undefined }
}
