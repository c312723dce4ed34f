import type { AnyNode, CallExpression, Identifier } from 'acorn'
import { parse } from 'acorn'
import { childrenOf, isCallOf, SourceEdits } from './source-edits.ts'
import { WasmFormatError, WasmReader } from './wasm-reader.ts'

type Modules = ReadonlyMap<string, Uint8Array>
type Instantiation = {
  readonly statement: AnyNode
  /** Variable of its exports. */
  readonly exported: string
  /** Variable of its module. */
  readonly module: string
  readonly imports: AnyNode | undefined
}

/**
 * Components are linked with two core modules more than they were made of: a shim whose functions call what a table holds, so that the main
 * module can be given functions before its memory is there, and one that then fills the table. In JavaScript a function may refer to
 * a memory that comes later: the main module is given the functions themselves, and both others are left out, two of three instances
 * for each instance of a component. Where functions come from another core module (an adapter of preview 1), all is left as it is.
 *
 * @param source slim glue
 * @param modules by the names that the glue asks for
 * @returns `undefined`: they are not there, or do more than that
 */
export function bypassShim(source: string, modules: Modules): { source: string; modules: Modules } | undefined {
  const program = parse(source, { ecmaVersion: 'latest', sourceType: 'module' })
  const files = moduleFiles(program)
  const all = instantiations(program)
  for (const shim of all) {
    if (shim.imports !== undefined) continue
    for (const filler of all) {
      if (filler.imports === undefined) continue
      const shimFile = files.get(shim.module)
      const fillerFile = files.get(filler.module)
      if (shimFile === undefined || fillerFile === undefined) continue
      const direct = directFunctions(shim, filler, modules.get(shimFile.name), modules.get(fillerFile.name))
      if (direct === undefined) continue
      const edits = new SourceEdits(source)
      const removed = [shim.statement, filler.statement, shimFile.statement, fillerFile.statement]
      for (const statement of removed) edits.remove(statement)
      const uses = countUses(program, new Set([shim.exported, shim.module, filler.exported, filler.module]), removed)
      let replaced = 0
      const look = (node: AnyNode): boolean => {
        if (removed.includes(node)) return true
        const slot = memberOf(node, shim.exported)
        if (slot !== undefined) {
          const target = direct.get(slot)
          if (target === undefined) return false
          edits.replace(node, target)
          replaced += 1
          return true
        }
        return childrenOf(node).every(look)
      }
      // Any other use of what is left out, and it cannot be.
      if (!look(program) || uses !== replaced) continue
      const kept = new Map(modules)
      kept.delete(shimFile.name)
      kept.delete(fillerFile.name)
      return { source: edits.apply(), modules: kept }
    }
  }
  return undefined
}

/** What the shim's functions come to, by their names: variables of the glue. */
function directFunctions(
  shim: Instantiation,
  filler: Instantiation,
  shimBytes: Uint8Array | undefined,
  fillerBytes: Uint8Array | undefined,
): ReadonlyMap<string, string> | undefined {
  if (shimBytes === undefined || fillerBytes === undefined) return undefined
  const given = importedValues(filler.imports!)
  if (given === undefined) return undefined
  let slots: ReadonlyMap<string, number>
  let fills: ReadonlyMap<number, string>
  try {
    slots = readShim(new WasmReader(shimBytes))
    fills = readFiller(new WasmReader(fillerBytes), (key) => {
      const value = given.get(key)
      return value !== undefined && memberOf(value, shim.exported) === tableName
    })
  } catch (error) {
    if (error instanceof WasmFormatError) return undefined
    throw error
  }
  const direct = new Map<string, string>()
  for (const [name, slot] of slots) {
    const value = given.get(fills.get(slot) ?? '')
    if (value?.type !== 'Identifier' || !/^trampoline\d+$/.test(value.name)) return undefined
    direct.set(name, value.name)
  }
  return direct
}

const tableName = '$imports'

/** Names of functions, each of which only calls what the module's one table holds at a place; by name that place. @throws WasmFormatError */
function readShim(reader: WasmReader): ReadonlyMap<string, number> {
  const parameters: number[] = []
  const types: number[] = []
  const exported = new Map<string, number>()
  const slots = new Map<string, number>()
  sections(reader, {
    1: (section) => readParameters(section, parameters),
    3: (section) => each(section, () => types.push(section.u32())),
    4: (section) => {
      if (section.u32() !== 1 || section.byte() !== 0x70) section.fail('not the one table of functions')
      if (section.byte() & 1) section.u32()
      section.u32()
    },
    7: (section) =>
      each(section, () => {
        const name = section.name()
        const kind = section.byte()
        const index = section.u32()
        if (kind === 0) exported.set(name, index)
        else if (kind !== 1 || name !== tableName) section.fail('another export')
      }),
    10: (section) => {
      const places: number[] = []
      each(section, () => {
        const type = types[places.length] ?? section.fail('a body of no function')
        const body = section.sub(section.u32())
        if (body.u32() !== 0) body.fail('a local')
        for (let index = 0; index < (parameters[type] ?? body.fail('no such type')); index++)
          if (body.byte() !== 0x20 || body.u32() !== index) body.fail('not local.get')
        if (body.byte() !== 0x41) body.fail('not i32.const')
        const place = body.u32()
        if (body.bytes[body.offset - 1]! & 0x40) body.fail('a negative place')
        if (body.byte() !== 0x11 || body.u32() !== type || body.u32() !== 0) body.fail('not call_indirect')
        if (body.byte() !== 0x0b || !body.atEnd) body.fail('more than a call')
        places.push(place)
      })
      for (const [name, index] of exported) slots.set(name, places[index] ?? section.fail('no such function'))
    },
  })
  return slots
}

/** By place in the imported table the import that is put there, `module\0name`. @throws WasmFormatError */
function readFiller(reader: WasmReader, isTable: (key: string) => boolean): ReadonlyMap<number, string> {
  const functions: string[] = []
  const fills = new Map<number, string>()
  let tables = 0
  sections(reader, {
    1: (section) => readParameters(section, []),
    2: (section) =>
      each(section, () => {
        const key = `${section.name()}\0${section.name()}`
        const kind = section.byte()
        if (kind === 0) {
          section.u32()
          functions.push(key)
          return
        }
        if (kind !== 1 || section.byte() !== 0x70 || !isTable(key)) section.fail('another import')
        if (section.byte() & 1) section.u32()
        section.u32()
        tables += 1
      }),
    9: (section) => {
      if (section.u32() !== 1 || section.u32() !== 0) section.fail('not the one active segment')
      if (section.byte() !== 0x41 || section.byte() !== 0 || section.byte() !== 0x0b) section.fail('not at 0')
      let place = 0
      each(section, () => fills.set(place++, functions[section.u32()] ?? section.fail('not an import')))
    },
  })
  if (tables !== 1) reader.fail('not one table')
  return fills
}

/** @throws WasmFormatError when there is a section that `known` does not know; custom ones are passed over. */
function sections(reader: WasmReader, known: Readonly<Record<number, (section: WasmReader) => void>>): void {
  reader.skip(8)
  while (!reader.atEnd) {
    const id = reader.byte()
    const section = reader.sub(reader.u32())
    if (id === 0) continue
    const read = known[id] ?? reader.fail('another section')
    read(section)
    if (!section.atEnd) section.fail('more than expected')
  }
}

/** Of plain function types the number of parameters. */
function readParameters(section: WasmReader, parameters: number[]): void {
  each(section, () => {
    if (section.byte() !== 0x60) section.fail('another type')
    const count = section.u32()
    for (let n = count; n > 0; n--) plainType(section)
    each(section, () => plainType(section))
    parameters.push(count)
  })
}

function plainType(section: WasmReader): void {
  const type = section.byte()
  if (type < 0x7b || type > 0x7f) section.fail('another type')
}

function each(section: WasmReader, read: () => void): void {
  for (let n = section.u32(); n > 0; n--) read()
}

/** `const moduleN = getCoreModule('file')`. */
function moduleFiles(program: AnyNode): ReadonlyMap<string, { name: string; statement: AnyNode }> {
  const files = new Map<string, { name: string; statement: AnyNode }>()
  const look = (node: AnyNode): void => {
    if (node.type === 'VariableDeclaration' && node.declarations.length === 1) {
      const { id, init } = node.declarations[0]!
      if (id.type === 'Identifier' && init?.type === 'CallExpression' && isCallOf(init, 'getCoreModule')) {
        const [file] = init.arguments
        if (file?.type === 'Literal' && typeof file.value === 'string')
          files.set(id.name, { name: file.value, statement: node })
        return
      }
    }
    for (const child of childrenOf(node)) look(child)
  }
  look(program)
  return files
}

/** `({ exports: exportsN } = instantiateCore(moduleN, …))`. */
function instantiations(program: AnyNode): Instantiation[] {
  const found: Instantiation[] = []
  const look = (node: AnyNode): void => {
    const instantiation = node.type === 'ExpressionStatement' ? instantiationOf(node) : undefined
    if (instantiation === undefined) for (const child of childrenOf(node)) look(child)
    else found.push(instantiation)
  }
  look(program)
  return found
}

function instantiationOf(statement: Extract<AnyNode, { type: 'ExpressionStatement' }>): Instantiation | undefined {
  const { expression } = statement
  if (expression.type !== 'AssignmentExpression' || expression.left.type !== 'ObjectPattern') return undefined
  const [property] = expression.left.properties
  if (property?.type !== 'Property' || expression.left.properties.length !== 1) return undefined
  const { key, value } = property
  if (key.type !== 'Identifier' || key.name !== 'exports' || value.type !== 'Identifier') return undefined
  if (!isCallOf(expression.right, 'instantiateCore')) return undefined
  const [module, imports] = (expression.right as CallExpression).arguments
  if (module?.type !== 'Identifier') return undefined
  return { statement, exported: value.name, module: module.name, imports }
}

/** Of `{ module: { name: value } }` the values by `module\0name`. */
function importedValues(imports: AnyNode): ReadonlyMap<string, AnyNode> | undefined {
  const values = new Map<string, AnyNode>()
  for (const [module, names] of propertiesOf(imports) ?? []) {
    for (const [name, value] of propertiesOf(names) ?? []) values.set(`${module}\0${name}`, value)
  }
  return values.size === 0 ? undefined : values
}

function propertiesOf(node: AnyNode): [string, AnyNode][] | undefined {
  if (node.type !== 'ObjectExpression') return undefined
  return node.properties.flatMap((property): [string, AnyNode][] => {
    if (property.type !== 'Property' || property.computed) return []
    const { key } = property
    const name = key.type === 'Identifier' ? key.name : key.type === 'Literal' ? String(key.value) : undefined
    return name === undefined ? [] : [[name, property.value]]
  })
}

/** The name in `object.name` and `object['name']`. */
function memberOf(node: AnyNode, object: string): string | undefined {
  if (node.type !== 'MemberExpression' || node.object.type !== 'Identifier' || node.object.name !== object)
    return undefined
  const { property, computed } = node
  if (!computed) return property.type === 'Identifier' ? property.name : undefined
  return property.type === 'Literal' ? String(property.value) : undefined
}

/** How often the names are read outside of the statements that go. */
function countUses(node: AnyNode, names: ReadonlySet<string>, without: readonly AnyNode[]): number {
  if (without.includes(node)) return 0
  if (node.type === 'VariableDeclarator') return node.init ? countUses(node.init, names, without) : 0
  if (node.type === 'Identifier') return names.has((node as Identifier).name) ? 1 : 0
  if (node.type === 'MemberExpression' && !node.computed) return countUses(node.object, names, without)
  return childrenOf(node).reduce((sum, child) => sum + countUses(child, names, without), 0)
}
