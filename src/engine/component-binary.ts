import { checkName } from './component-name.ts'
import { type CoreModuleFacts, readCoreModule } from './core-module.ts'
import type { WitInterface } from './engine.ts'
import { WasmFormatError, WasmReader } from './wasm-reader.ts'

export type ComponentFactsOfBinary = {
  readonly imports: readonly WitInterface[]
  readonly exports: readonly WitInterface[]
  readonly coreModules: readonly CoreModuleFacts[]
  /** The component uses async functions, streams or futures of the component model. */
  readonly usesAsync: boolean
}

/** What one instance type or instance offers; other types are of no interest here and are `undefined` in the index spaces. */
type Shape = { readonly functions: string[]; readonly instances: Map<string, Shape> }

const maxNesting = 32

/**
 * Imports, exports and their functions, straight from a component's bytes (component model, Binary.md). It reads types and names
 * and checks every name that could reach generated code; whether the component is valid as a whole is for jco and V8.
 * @throws WasmFormatError
 */
export function readComponent(bytes: Uint8Array): ComponentFactsOfBinary {
  const reader = new ComponentReader(new WasmReader(bytes), { coreModules: [], usesAsync: false, depth: 0 })
  reader.read()
  return {
    imports: toInterfaces(reader.imported),
    exports: toInterfaces(reader.exported),
    coreModules: reader.found.coreModules,
    usesAsync: reader.found.usesAsync,
  }
}

function toInterfaces(shape: Shape): WitInterface[] {
  const bare = shape.functions.map((name) => ({ name, functions: [name] }))
  return [...bare, ...[...shape.instances].map(([name, { functions }]) => ({ name, functions }))]
}

function emptyShape(): Shape {
  return { functions: [], instances: new Map() }
}

type Found = { coreModules: CoreModuleFacts[]; usesAsync: boolean; depth: number }

class ComponentReader {
  readonly imported = emptyShape()
  readonly exported = emptyShape()
  readonly found: Found
  readonly #reader: WasmReader
  readonly #types: (Shape | undefined)[] = []
  readonly #instances: Shape[] = []
  readonly #components: (Shape | undefined)[] = []

  constructor(reader: WasmReader, found: Found) {
    this.#reader = reader
    this.found = found
  }

  read(): void {
    const reader = this.#reader
    for (const byte of [0x00, 0x61, 0x73, 0x6d]) if (reader.byte() !== byte) reader.fail('not WebAssembly')
    const version = reader.byte() | (reader.byte() << 8)
    const layer = reader.byte() | (reader.byte() << 8)
    if (layer === 0) throw new WasmFormatError('a core module, not a component')
    if (layer !== 1 || version !== 0x0d)
      throw new WasmFormatError(`version ${version}, layer ${layer} of the binary format`)
    while (!reader.atEnd) {
      const id = reader.byte()
      const section = reader.sub(reader.u32())
      this.#section(id, section)
      if (id !== 0 && !section.atEnd) section.fail('a section is longer than its content')
    }
  }

  #section(id: number, section: WasmReader): void {
    const each = (read: () => void) => {
      for (let n = section.u32(); n > 0; n--) read()
    }
    switch (id) {
      case 0: // custom
      case 3: // core types: of no interest
      case 8: // canon
      case 9: // start
        section.skip(section.end - section.offset)
        return
      case 1:
        this.found.coreModules.push(readCoreModule(section))
        return
      case 2:
        each(() => readCoreInstance(section))
        return
      case 4: {
        if (this.found.depth >= maxNesting) section.fail('components are nested too deeply')
        this.found.depth += 1
        const nested = new ComponentReader(section, this.found)
        nested.read()
        this.found.depth -= 1
        this.#components.push(nested.exported)
        return
      }
      case 5:
        each(() => this.#instances.push(this.#instance(section)))
        return
      case 6:
        each(() => this.#alias(section, this.#types))
        return
      case 7:
        each(() => this.#types.push(this.#type(section, 0)))
        return
      case 10:
        each(() => this.#import(section))
        return
      case 11:
        each(() => this.#export(section))
        return
      default:
        section.fail(`unknown section ${id}`)
    }
  }

  #import(section: WasmReader): void {
    const name = readExternName(section)
    const { sort, shape } = this.#externDescription(section, this.#types)
    if (sort === 1) this.imported.functions.push(name)
    else if (sort === 3) this.#types.push(shape)
    else if (sort === 4) this.#components.push(undefined)
    else if (sort === 5) {
      this.#instances.push(shape ?? emptyShape())
      this.imported.instances.set(name, shape ?? emptyShape())
    }
  }

  #export(section: WasmReader): void {
    const name = readExternName(section)
    const sort = readSort(section)
    const index = section.u32()
    const ascribed = section.byte() === 1 ? this.#externDescription(section, this.#types).shape : undefined
    if (sort === 1) this.exported.functions.push(name)
    else if (sort === 3) this.#types.push(this.#types[index])
    else if (sort === 4) this.#components.push(this.#components[index])
    else if (sort === 5) {
      const shape = ascribed ?? this.#instances[index] ?? section.fail('unknown instance')
      this.#instances.push(shape)
      this.exported.instances.set(name, shape)
    }
  }

  #instance(section: WasmReader): Shape {
    const kind = section.byte()
    if (kind === 0) {
      const component = this.#components[section.u32()]
      for (let n = section.u32(); n > 0; n--) {
        checkName(section.name())
        readSort(section)
        section.u32()
      }
      return component ?? emptyShape()
    }
    if (kind !== 1) section.fail('unknown kind of instance')
    const shape = emptyShape()
    for (let n = section.u32(); n > 0; n--) {
      const name = readExternName(section)
      const sort = readSort(section)
      const index = section.u32()
      if (sort === 1) shape.functions.push(name)
      else if (sort === 5) shape.instances.set(name, this.#instances[index] ?? emptyShape())
    }
    return shape
  }

  #alias(section: WasmReader, types: (Shape | undefined)[]): void {
    const sort = readSort(section)
    const kind = section.byte()
    let shape: Shape | undefined
    if (kind === 0) {
      const instance = this.#instances[section.u32()]
      shape = instance?.instances.get(checkName(section.name()))
    } else if (kind === 1) {
      section.u32()
      checkName(section.name())
    } else if (kind === 2) {
      section.u32()
      section.u32()
    } else section.fail('unknown kind of alias')
    if (sort === 3) types.push(undefined)
    else if (sort === 4) this.#components.push(undefined)
    else if (sort === 5) this.#instances.push(shape ?? emptyShape())
  }

  #externDescription(
    section: WasmReader,
    types: readonly (Shape | undefined)[],
  ): { sort: number; shape?: Shape | undefined } {
    const sort = section.byte()
    switch (sort) {
      case 0:
        if (section.byte() !== 0x11) section.fail('unknown core description')
        section.u32()
        return { sort }
      case 1:
      case 4:
        section.u32()
        return { sort }
      case 5:
        return { sort, shape: types[section.u32()] }
      case 2:
        if (section.byte() === 0) section.u32()
        else this.#valueType(section)
        return { sort }
      case 3:
        if (section.byte() === 0) return { sort, shape: types[section.u32()] }
        return { sort }
      default:
        return section.fail('unknown description')
    }
  }

  /** One definition of a type; the functions and instances it names when it is an instance type. */
  #type(section: WasmReader, nesting: number): Shape | undefined {
    if (nesting > maxNesting) section.fail('types are nested too deeply')
    const code = section.byte()
    if (code === 0x41 || code === 0x42) return this.#declarations(section, nesting)
    this.#otherType(section, code)
    return undefined
  }

  #otherType(section: WasmReader, code: number): void {
    const labelled = () => {
      checkName(section.name())
      this.#valueType(section)
    }
    const many = (read: () => void) => {
      for (let n = section.u32(); n > 0; n--) read()
    }
    const optional = () => {
      if (section.byte() === 1) this.#valueType(section)
    }
    switch (code) {
      case 0x3f: // resource
        section.byte()
        if (section.byte() === 1) section.u32()
        return
      case 0x40: // function
      case 0x43: // async function
        if (code === 0x43) this.found.usesAsync = true
        many(labelled)
        if (section.byte() === 0) this.#valueType(section)
        else many(labelled)
        return
      case 0x72:
        many(labelled)
        return
      case 0x71:
        many(() => {
          checkName(section.name())
          optional()
          if (section.byte() === 1) section.u32()
        })
        return
      case 0x70:
      case 0x6b:
        this.#valueType(section)
        return
      case 0x67:
        this.#valueType(section)
        section.u32()
        return
      case 0x6f:
        many(() => this.#valueType(section))
        return
      case 0x6e:
      case 0x6d:
        many(() => void checkName(section.name()))
        return
      case 0x6a:
        optional()
        optional()
        return
      case 0x69:
      case 0x68:
        section.u32()
        return
      case 0x66:
      case 0x65:
        this.found.usesAsync = true
        optional()
        return
      default:
        if (code >= 0x64 && code <= 0x7f) return
        section.fail('unknown kind of type')
    }
  }

  /** The declarations of a component or instance type, in an index space of their own. */
  #declarations(section: WasmReader, nesting: number): Shape {
    const shape = emptyShape()
    const types: (Shape | undefined)[] = []
    for (let n = section.u32(); n > 0; n--) {
      const kind = section.byte()
      if (kind === 1) types.push(this.#type(section, nesting + 1))
      else if (kind === 2) {
        const sort = readSort(section)
        const target = section.byte()
        section.u32()
        if (target === 2) section.u32()
        else checkName(section.name())
        if (sort === 3) types.push(undefined)
      } else if (kind === 3 || kind === 4) {
        const name = readExternName(section)
        const described = this.#externDescription(section, types)
        if (described.sort === 3) types.push(described.shape)
        else if (kind === 4 && described.sort === 1) shape.functions.push(name)
        else if (kind === 4 && described.sort === 5) shape.instances.set(name, described.shape ?? emptyShape())
      } else section.fail('unknown declaration')
    }
    return shape
  }

  #valueType(section: WasmReader): void {
    if (section.s33() === 0x64 - 0x80) this.found.usesAsync = true
  }
}

function readCoreInstance(section: WasmReader): void {
  const kind = section.byte()
  if (kind === 0) {
    section.u32()
    for (let n = section.u32(); n > 0; n--) {
      checkName(section.name())
      section.byte()
      section.u32()
    }
  } else if (kind === 1) {
    for (let n = section.u32(); n > 0; n--) {
      checkName(section.name())
      section.byte()
      section.u32()
    }
  } else section.fail('unknown kind of core instance')
}

function readSort(section: WasmReader): number {
  const sort = section.byte()
  if (sort === 0) section.byte()
  return sort
}

function readExternName(section: WasmReader): string {
  const kind = section.byte()
  if (kind > 1) section.fail('unknown kind of name')
  return checkName(section.name())
}
