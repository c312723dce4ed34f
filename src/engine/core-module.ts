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

/** Where a module that {@link hostedMemory} was applied to looks for its memory. */
export const memoryImport = { module: 'herald:cell', name: 'memory' } as const

/** Pages, as `WebAssembly.Memory` wants them. */
export type HostedMemory = { readonly initial: number; readonly maximum: number }

export type CappedModule = {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The memory to be given to each instance under {@link memoryImport}; `undefined`: the module makes its own. */
  readonly hostedMemory: HostedMemory | undefined
}

/**
 * The module with every memory it defines limited to `maxBytes` and every table to a fixed bound, by their sections' maximum.
 * @param hostMemory import the memory instead of defining it, where the module has exactly one, of 32 bits, not shared
 * @throws WasmFormatError when a memory's minimum is above the cap: callers check {@link readCoreModule} first.
 */
export function capMemory(module: Uint8Array, maxBytes: number, { hostMemory = false } = {}): CappedModule {
  const reader = new WasmReader(module)
  readCorePreamble(reader)
  const sections: { id: number; body: Uint8Array }[] = []
  let memory: HostedMemory | undefined
  while (!reader.atEnd) {
    const id = reader.byte()
    const section = reader.sub(reader.u32())
    const raw = section.bytes.subarray(section.offset, section.end)
    if (id === 4) sections.push({ id, body: Uint8Array.from(cappedTables(section)) })
    else if (id === 5) {
      const body = Uint8Array.from(cappedMemories(section, maxBytes))
      if (hostMemory) memory = onlyMemory(body)
      if (memory === undefined) sections.push({ id, body })
    } else sections.push({ id, body: raw })
  }
  if (memory !== undefined && !importMemory(sections, memory)) return capMemory(module, maxBytes)
  const parts: Uint8Array[] = [module.subarray(0, 8)]
  for (const { id, body } of sections) parts.push(Uint8Array.from([id, ...encodeUnsigned(body.length)]), body)
  return { bytes: new Uint8Array(Buffer.concat(parts)), hostedMemory: memory }
}

/** Of a memory section's body, capped: the memory when it is one, plain and with a maximum. */
function onlyMemory(body: Uint8Array): HostedMemory | undefined {
  const section = new WasmReader(body)
  if (section.u32() !== 1) return undefined
  const { flags, min, max } = readLimits(section)
  return flags === 1 && max !== undefined ? { initial: Number(min), maximum: Number(max) } : undefined
}

/** @returns false when the module imports a memory already: then its own would become the second */
function importMemory(sections: { id: number; body: Uint8Array }[], { initial, maximum }: HostedMemory): boolean {
  const name = (text: string): number[] => [...encodeUnsigned(text.length), ...Buffer.from(text)]
  const entry = [
    ...name(memoryImport.module),
    ...name(memoryImport.name),
    2,
    1,
    ...encodeUnsigned(initial),
    ...encodeUnsigned(maximum),
  ]
  const imports = sections.find(({ id }) => id === 2)
  if (imports === undefined) {
    // Behind the types, before all that is numbered higher; custom sections (0) may stand anywhere.
    const at = sections.findIndex(({ id }) => id > 2)
    sections.splice(at === -1 ? sections.length : at, 0, { id: 2, body: Uint8Array.from([1, ...entry]) })
    return true
  }
  const reader = new WasmReader(imports.body)
  const count = reader.u32()
  const rest = imports.body.subarray(reader.offset)
  if (importsMemory(new WasmReader(imports.body))) return false
  imports.body = new Uint8Array(
    Buffer.concat([Uint8Array.from(encodeUnsigned(count + 1)), rest, Uint8Array.from(entry)]),
  )
  return true
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

function importsMemory(section: WasmReader): boolean {
  return readImports(section).includes(2)
}

/** @returns the kinds of what is imported */
function readImports(section: WasmReader): number[] {
  const kinds: number[] = []
  for (let n = section.u32(); n > 0; n--) {
    checkName(section.name())
    checkName(section.name())
    const kind = section.byte()
    kinds.push(kind)
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
  return kinds
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
