import { type WitField, type WitType, type WitTypes, witPrimitives } from '../wit/wit-type.ts'
import { checkName } from './component-name.ts'
import {
  type Definition,
  emptyShape,
  outer,
  type Shape,
  type Signature,
  shapeOf,
  signatureOf,
} from './component-shape.ts'
import { readExternName, readSort } from './extern-name.ts'
import type { WasmReader } from './wasm-reader.ts'

/** How deep types, and components, may stand inside each other. */
export const maxNesting = 32

const resource: Definition = { type: { kind: 'unsupported', what: 'a resource' } }
const primitives: readonly WitType[] = witPrimitives.map((kind) => ({ kind }))

/** Reads definitions of types (component model, Binary.md, "Type Definitions"), and notes whether they are of async functions. */
export class TypeReader {
  readonly #found: { usesAsync: boolean; readonly types: WitTypes }

  constructor(found: { usesAsync: boolean; readonly types: WitTypes }) {
    this.#found = found
  }

  /** Of an import, an export or a declaration; `types` is the index space that it stands in. */
  externDescription(
    section: WasmReader,
    types: readonly Definition[],
  ): { sort: number; shape?: Shape | undefined; definition?: Definition } {
    const sort = section.byte()
    switch (sort) {
      case 0:
        if (section.byte() !== 0x11) section.fail('unknown core description')
        section.u32()
        return { sort }
      case 1:
      case 4:
        return { sort, definition: types[section.u32()] }
      case 5: {
        const definition = types[section.u32()]
        return { sort, shape: shapeOf(definition), definition }
      }
      case 2:
        if (section.byte() === 0) section.u32()
        else this.#valueType(section, types)
        return { sort }
      case 3:
        return { sort, definition: section.byte() === 0 ? types[section.u32()] : resource }
      default:
        return section.fail('unknown description')
    }
  }

  /** One definition of a type; `scopes` are the index spaces around it, the nearest last. */
  type(section: WasmReader, scopes: readonly (readonly Definition[])[], nesting: number): Definition {
    if (nesting > maxNesting) section.fail('types are nested too deeply')
    const code = section.byte()
    if (code === 0x41 || code === 0x42) return { shape: this.#declarations(section, scopes, nesting) }
    const types = scopes.at(-1)!
    if (code === 0x3f) {
      section.byte()
      if (section.byte() === 1) section.u32()
      return resource
    }
    if (code === 0x40 || code === 0x43) return { signature: this.#signature(section, types, code === 0x43) }
    return { type: this.#found.types.make(this.#valueTypeDefinition(section, types, code)) }
  }

  #signature(section: WasmReader, types: readonly Definition[], isAsync: boolean): Signature {
    if (isAsync) this.#found.usesAsync = true
    const params = this.#fields(section, types)
    if (section.byte() === 0) return { params, result: this.#valueType(section, types), isAsync }
    // Named results; nobody has them any more, and none is a function without a result.
    const named = this.#fields(section, types)
    const result: WitType | undefined =
      named.length === 0 ? undefined : { kind: 'unsupported', what: 'more than one result' }
    return { params, result, isAsync }
  }

  #fields(section: WasmReader, types: readonly Definition[]): WitField[] {
    return many(section, () => ({ name: checkName(section.name()), type: this.#valueType(section, types) }))
  }

  #valueTypeDefinition(section: WasmReader, types: readonly Definition[], code: number): WitType {
    const optional = () => (section.byte() === 1 ? this.#valueType(section, types) : undefined)
    switch (code) {
      case 0x72:
        return { kind: 'record', fields: this.#fields(section, types) }
      case 0x71: {
        const cases = many(section, () => {
          const name = checkName(section.name())
          const type = optional()
          if (section.byte() === 1) section.u32()
          return { name, type }
        })
        return { kind: 'variant', cases }
      }
      case 0x70:
        return { kind: 'list', element: this.#valueType(section, types) }
      case 0x6b:
        return { kind: 'option', some: this.#valueType(section, types) }
      case 0x67:
        this.#valueType(section, types)
        section.u32()
        return { kind: 'unsupported', what: 'a list of fixed length' }
      case 0x6f:
        return { kind: 'tuple', items: many(section, () => this.#valueType(section, types)) }
      case 0x6e:
      case 0x6d: {
        const names = many(section, () => checkName(section.name()))
        return { kind: code === 0x6e ? 'flags' : 'enum', names }
      }
      case 0x6a:
        return { kind: 'result', ok: optional(), err: optional() }
      case 0x69:
      case 0x68:
        section.u32()
        return { kind: 'unsupported', what: 'a resource' }
      case 0x66:
      case 0x65:
        this.#found.usesAsync = true
        optional()
        return { kind: 'unsupported', what: code === 0x66 ? 'a stream' : 'a future' }
      default:
        if (code >= 0x64 && code <= 0x7f) return primitive(code)
        return section.fail('unknown kind of type')
    }
  }

  /** The declarations of a component or instance type, in an index space of their own. */
  #declarations(section: WasmReader, around: readonly (readonly Definition[])[], nesting: number): Shape {
    const shape = emptyShape()
    const types: Definition[] = []
    const instances: (Shape | undefined)[] = []
    const scopes = [...around, types]
    for (let n = section.u32(); n > 0; n--) {
      const kind = section.byte()
      if (kind === 1) types.push(this.type(section, scopes, nesting + 1))
      else if (kind === 2) {
        const sort = readSort(section)
        const target = section.byte()
        const first = section.u32()
        const definition =
          target === 2 ? outer(scopes, first, section.u32()) : instances[first]?.types.get(checkName(section.name()))
        if (sort === 3) types.push(definition)
      } else if (kind === 3 || kind === 4) {
        const name = readExternName(section)
        const described = this.externDescription(section, types)
        if (described.sort === 3) types.push(described.definition)
        else if (described.sort === 5) instances.push(described.shape)
        if (kind === 3) continue
        if (described.sort === 1) shape.functions.set(name, signatureOf(described.definition))
        else if (described.sort === 3) shape.types.set(name, described.definition)
        else if (described.sort === 5) shape.instances.set(name, described.shape ?? emptyShape())
      } else section.fail('unknown declaration')
    }
    return shape
  }

  #valueType(section: WasmReader, types: readonly Definition[]): WitType {
    const at = section.s33()
    if (at === 0x64 - 0x80) this.#found.usesAsync = true
    if (at < 0) return primitive(at + 0x80)
    const definition = types[at]
    return definition !== undefined && 'type' in definition
      ? definition.type
      : { kind: 'unsupported', what: 'a type that cannot be read' }
  }
}

function primitive(code: number): WitType {
  return primitives[0x7f - code] ?? { kind: 'unsupported', what: 'an error context' }
}

function many<T>(section: WasmReader, read: () => T): T[] {
  const all: T[] = []
  for (let n = section.u32(); n > 0; n--) all.push(read())
  return all
}

/** @returns whether all of them are known here */
