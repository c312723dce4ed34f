import { type WitFunction, WitTypes } from '../wit/wit-type.ts'
import { checkName } from './component-name.ts'
import { type Definition, emptyShape, outer, type Shape, type Signature, signatureOf } from './component-shape.ts'
import { maxNesting, TypeReader } from './component-types.ts'
import { type CoreModuleFacts, readCoreModule } from './core-module.ts'
import type { WitInterface } from './engine.ts'
import { readExtern, readExternName, readSort } from './extern-name.ts'
import { WasmFormatError, WasmReader } from './wasm-reader.ts'

export type ComponentFactsOfBinary = {
  readonly imports: readonly WitInterface[]
  readonly exports: readonly WitInterface[]
  /** Types of the functions of both, by the interface's name. Of a function that the component came by in an unusual way there are none. */
  readonly signatures: InterfaceSignatures
  readonly coreModules: readonly CoreModuleFacts[]
  /** The component uses async functions, streams or futures of the component model. */
  readonly usesAsync: boolean
}

export type InterfaceSignatures = {
  readonly imports: ReadonlyMap<string, readonly WitFunction[]>
  readonly exports: ReadonlyMap<string, readonly WitFunction[]>
  /** Imports that only give names to types: nothing has to be served. */
  readonly typesOnly: readonly string[]
}

/**
 * Imports, exports and their functions, straight from a component's bytes (component model, Binary.md). It reads types and names
 * and checks every name that could reach generated code; whether the component is valid as a whole is for jco and V8.
 * @throws WasmFormatError
 */
export function readComponent(bytes: Uint8Array): ComponentFactsOfBinary {
  const found = { coreModules: [], usesAsync: false, depth: 0, types: new WitTypes() }
  const reader = new ComponentReader(new WasmReader(bytes), found, [])
  reader.read()
  return {
    imports: toInterfaces(reader.imported, reader.labels),
    exports: toInterfaces(reader.exported, new Map()),
    signatures: {
      imports: toSignatures(reader.imported),
      exports: toSignatures(reader.exported),
      typesOnly: [...reader.imported.instances].flatMap(([name, shape]) => (isTypesOnly(shape) ? [name] : [])),
    },
    coreModules: reader.found.coreModules,
    usesAsync: reader.found.usesAsync,
  }
}

function toInterfaces(shape: Shape, labels: ReadonlyMap<string, string>): WitInterface[] {
  const bare = [...shape.functions.keys()].map((name) => ({ name, functions: [name] }))
  const interfaces = [...shape.instances].map(([name, { functions }]): WitInterface => {
    const implemented = labels.get(name)
    return { name, ...(implemented !== undefined && { implements: implemented }), functions: [...functions.keys()] }
  })
  return [...bare, ...interfaces]
}

function isTypesOnly({ functions, instances, types }: Shape): boolean {
  const isValueType = (definition: Definition): boolean =>
    definition !== undefined && 'type' in definition && definition.type.kind !== 'unsupported'
  return functions.size === 0 && instances.size === 0 && types.size > 0 && [...types.values()].every(isValueType)
}

function toSignatures(shape: Shape): Map<string, WitFunction[]> {
  const named = ({ functions }: Shape): WitFunction[] =>
    [...functions].flatMap(([name, signature]) => (signature === undefined ? [] : [{ name, ...signature }]))
  return new Map([...shape.instances].map(([name, instance]) => [name, named(instance)]))
}

type Found = { coreModules: CoreModuleFacts[]; usesAsync: boolean; depth: number; readonly types: WitTypes }

class ComponentReader {
  readonly imported = emptyShape()
  /** Of imported interfaces that the component gave a label: which they are. */
  readonly labels = new Map<string, string>()
  readonly exported = emptyShape()
  readonly found: Found
  readonly #reader: WasmReader
  readonly #typeReader: TypeReader
  readonly #types: Definition[] = []
  /** Index spaces of types of what this stands in, the outermost first; its own is the last. */
  readonly #scopes: readonly (readonly Definition[])[]
  readonly #functions: (Signature | undefined)[] = []
  /** From an instruction on that is not known here, nobody can say which function has which index. */
  #functionsKnown = true
  readonly #instances: Shape[] = []
  readonly #components: (Shape | undefined)[] = []

  constructor(reader: WasmReader, found: Found, around: readonly (readonly Definition[])[]) {
    this.#reader = reader
    this.found = found
    this.#typeReader = new TypeReader(found)
    this.#scopes = [...around, this.#types]
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
        const nested = new ComponentReader(section, this.found, this.#scopes)
        nested.read()
        this.found.depth -= 1
        this.#components.push(nested.exported)
        return
      }
      case 5:
        each(() => this.#instances.push(this.#instance(section)))
        return
      case 6:
        each(() => this.#alias(section))
        return
      case 7:
        each(() => this.#types.push(this.#typeReader.type(section, this.#scopes, 0)))
        return
      case 8:
        this.#canon(section)
        section.skip(section.end - section.offset)
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
    const { name, implemented } = readExtern(section)
    const { sort, shape, definition } = this.#typeReader.externDescription(section, this.#types)
    if (sort === 1) {
      this.#functions.push(signatureOf(definition))
      this.imported.functions.set(name, signatureOf(definition))
    } else if (sort === 3) this.#types.push(definition)
    else if (sort === 4) this.#components.push(undefined)
    else if (sort === 5) {
      this.#instances.push(shape ?? emptyShape())
      this.imported.instances.set(name, shape ?? emptyShape())
      if (implemented !== undefined) this.labels.set(name, implemented)
    }
  }

  #export(section: WasmReader): void {
    const name = readExternName(section)
    const sort = readSort(section)
    const index = section.u32()
    const ascribed = section.byte() === 1 ? this.#typeReader.externDescription(section, this.#types) : undefined
    if (sort === 1) {
      const signature = signatureOf(ascribed?.definition) ?? this.#function(index)
      this.#functions.push(signature)
      this.exported.functions.set(name, signature)
    } else if (sort === 3) {
      const definition = ascribed?.definition ?? this.#types[index]
      this.#types.push(definition)
      this.exported.types.set(name, definition)
    } else if (sort === 4) this.#components.push(this.#components[index])
    else if (sort === 5) {
      const shape = ascribed?.shape ?? this.#instances[index] ?? section.fail('unknown instance')
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
      if (sort === 1) shape.functions.set(name, this.#function(index))
      else if (sort === 3) shape.types.set(name, this.#types[index])
      else if (sort === 5) shape.instances.set(name, this.#instances[index] ?? emptyShape())
    }
    return shape
  }

  #function(index: number): Signature | undefined {
    return this.#functionsKnown ? this.#functions[index] : undefined
  }

  /** Only what makes functions of the component counts; the rest is read to get past it. */
  #canon(section: WasmReader): void {
    for (let n = section.u32(); n > 0; n--) {
      const kind = section.byte()
      if (kind === 0x00) {
        section.byte()
        section.u32()
        this.#functionsKnown &&= readCanonOptions(section)
        if (!this.#functionsKnown) return
        this.#functions.push(signatureOf(this.#types[section.u32()]))
      } else if (kind === 0x01) {
        section.byte()
        section.u32()
        this.#functionsKnown &&= readCanonOptions(section)
      } else if (kind === 0x02 || kind === 0x03 || kind === 0x04) section.u32()
      else this.#functionsKnown = false
      if (!this.#functionsKnown) return
    }
  }

  #alias(section: WasmReader): void {
    const sort = readSort(section)
    const kind = section.byte()
    let shape: Shape | undefined
    let definition: Definition
    let signature: Signature | undefined
    if (kind === 0) {
      const instance = this.#instances[section.u32()]
      const name = checkName(section.name())
      shape = instance?.instances.get(name)
      definition = instance?.types.get(name)
      signature = instance?.functions.get(name)
    } else if (kind === 1) {
      section.u32()
      checkName(section.name())
    } else if (kind === 2) {
      definition = outer(this.#scopes, section.u32(), section.u32())
    } else section.fail('unknown kind of alias')
    if (sort === 1) this.#functions.push(signature)
    else if (sort === 3) this.#types.push(definition)
    else if (sort === 4) this.#components.push(undefined)
    else if (sort === 5) this.#instances.push(shape ?? emptyShape())
  }
}

function readCanonOptions(section: WasmReader): boolean {
  for (let n = section.u32(); n > 0; n--) {
    const option = section.byte()
    if (option > 0x07) return false
    if (option >= 0x03 && option !== 0x06) section.u32()
  }
  return true
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
