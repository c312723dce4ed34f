import { type AnyNode, type Pattern, type Program, parse, type Statement } from 'acorn'
import { childrenOf, SourceEdits } from './source-edits.ts'

/** Names of JavaScript itself that jco's glue may use. */
// biome-ignore format: a list
const globals = new Set([
  'undefined', 'globalThis', 'console', 'WebAssembly', 'Promise', 'Map', 'Set', 'WeakMap', 'Symbol', 'Object', 'Array', 'String', 'Number',
  'BigInt', 'Boolean', 'Math', 'JSON', 'Error', 'TypeError', 'RangeError', 'DataView', 'ArrayBuffer', 'TextEncoder', 'TextDecoder',
  'Uint8Array', 'Int8Array', 'Uint16Array', 'Int16Array', 'Uint32Array', 'Int32Array', 'BigInt64Array', 'BigUint64Array', 'Float32Array',
  'Float64Array', 'FinalizationRegistry', 'arguments', 'NaN', 'Infinity', 'queueMicrotask', 'setTimeout', 'Reflect', 'Proxy', 'isNaN',
])

/** Removes functions, classes and plain constants of `instantiate` that nothing uses, and what only those used. */
export function dropUnused(source: string): string {
  const body = bodyOfInstantiate(source)
  const total = new Map<string, number>()
  for (const statement of body) countUses(statement, total)
  const candidates = [...body, ...bodyOfGenerator(body)].flatMap((statement) => {
    const names = removableNames(statement) ?? unreadVariable(statement)
    if (names === undefined) return []
    const own = new Map<string, number>()
    countUses(statement, own)
    return [{ statement, names, own }]
  })
  const edits = new SourceEdits(source)
  const left = new Set(candidates)
  for (let found = true; found; ) {
    found = false
    for (const candidate of left) {
      const { statement, names, own } = candidate
      const slack = statement.type === 'TryStatement' ? 1 : 0
      if (!names.every((name) => (total.get(name) ?? 0) <= (own.get(name) ?? 0) + slack)) continue
      edits.remove(statement)
      left.delete(candidate)
      for (const [name, uses] of own) total.set(name, (total.get(name) ?? 0) - uses)
      found = true
    }
  }
  return edits.apply()
}

function bodyOfGenerator(body: readonly Statement[]): readonly AnyNode[] {
  for (const statement of body) {
    if (statement.type !== 'VariableDeclaration') continue
    for (const { id, init } of statement.declarations) {
      if (id.type !== 'Identifier' || id.name !== 'gen' || init?.type !== 'CallExpression') continue
      return init.callee.type === 'FunctionExpression' ? init.callee.body.body : []
    }
  }
  return []
}

/** `try { name = … } catch { name = … }`, where only the declaration names it besides. */
function unreadVariable(statement: AnyNode): string[] | undefined {
  if (
    statement.type !== 'TryStatement' ||
    statement.handler?.body.body.length !== 1 ||
    statement.block.body.length !== 1
  )
    return undefined
  const names = [statement.block.body[0], statement.handler.body.body[0]].map((set) =>
    set?.type === 'ExpressionStatement' &&
    set.expression.type === 'AssignmentExpression' &&
    set.expression.left.type === 'Identifier'
      ? set.expression.left.name
      : undefined,
  )
  const [name, again] = names
  return name !== undefined && name === again ? [name] : undefined
}

/** The names a statement declares, when removing it has no effect but that they are gone. */
function removableNames(statement: AnyNode): string[] | undefined {
  if (statement.type === 'FunctionDeclaration' || statement.type === 'ClassDeclaration')
    return statement.id ? [statement.id.name] : undefined
  if (statement.type !== 'VariableDeclaration') return undefined
  const names: string[] = []
  for (const { id, init } of statement.declarations) {
    if (id.type !== 'Identifier' || (init && !isInert(init))) return undefined
    names.push(id.name)
  }
  return names
}

/** Evaluating it has no effect. */
function isInert(node: AnyNode): boolean {
  switch (node.type) {
    case 'Literal':
    case 'Identifier':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      return true
    case 'ArrayExpression':
    case 'ObjectExpression':
    case 'Property':
    case 'UnaryExpression':
    case 'ConditionalExpression':
    case 'MemberExpression':
      return childrenOf(node).every(isInert)
    case 'ClassExpression':
      return true
    case 'NewExpression':
      return childrenOf(node).every(isInert)
    case 'CallExpression':
      return (
        node.callee.type === 'MemberExpression' &&
        node.callee.object.type === 'Identifier' &&
        node.callee.object.name === 'Symbol'
      )
    default:
      return false
  }
}

/** A name that is read but neither declared anywhere nor one of JavaScript's own. */
export function undeclared(program: Program): string | undefined {
  const used = new Map<string, number>()
  const declared = new Set<string>()
  countUses(program, used)
  collectDeclared(program, declared)
  for (const name of used.keys()) if (!declared.has(name) && !globals.has(name)) return name
  return undefined
}

function bodyOfInstantiate(source: string): Statement[] {
  const program = parse(source, { ecmaVersion: 'latest', sourceType: 'module' })
  for (const node of program.body) {
    if (node.type !== 'ExportNamedDeclaration' || node.declaration?.type !== 'FunctionDeclaration') continue
    if (node.declaration.id.name === 'instantiate') return node.declaration.body.body
  }
  return []
}

/** Counts identifiers that are not the fixed name of a member, property or label. */
function countUses(node: AnyNode, used: Map<string, number>): void {
  if (node.type === 'Identifier') used.set(node.name, (used.get(node.name) ?? 0) + 1)
  else if (node.type === 'MemberExpression' && !node.computed) countUses(node.object, used)
  else if (node.type === 'Property' && !node.computed) countUses(node.value, used)
  else if ((node.type === 'MethodDefinition' || node.type === 'PropertyDefinition') && !node.computed) {
    if (node.value) countUses(node.value, used)
  } else if (node.type === 'LabeledStatement') countUses(node.body, used)
  else if (node.type !== 'BreakStatement' && node.type !== 'ContinueStatement')
    for (const child of childrenOf(node)) countUses(child, used)
}

function collectDeclared(node: AnyNode, declared: Set<string>): void {
  const add = (pattern: Pattern | null | undefined): void => {
    if (pattern?.type === 'Identifier') declared.add(pattern.name)
    else if (pattern?.type === 'ObjectPattern') {
      for (const property of pattern.properties) add(property.type === 'Property' ? property.value : property.argument)
    } else if (pattern?.type === 'ArrayPattern') pattern.elements.forEach(add)
    else if (pattern?.type === 'AssignmentPattern') add(pattern.left)
    else if (pattern?.type === 'RestElement') add(pattern.argument)
  }
  if (node.type === 'VariableDeclarator') add(node.id)
  else if (
    node.type === 'FunctionDeclaration' ||
    node.type === 'FunctionExpression' ||
    node.type === 'ArrowFunctionExpression'
  ) {
    add(node.type === 'ArrowFunctionExpression' ? undefined : node.id)
    node.params.forEach(add)
  } else if (node.type === 'ClassDeclaration' || node.type === 'ClassExpression') add(node.id)
  else if (node.type === 'CatchClause') add(node.param)
  for (const child of childrenOf(node)) collectDeclared(child, declared)
}
