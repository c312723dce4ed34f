import { stripTypeScriptTypes } from 'node:module'
import { posix } from 'node:path'
import { type AnyNode, parse } from 'acorn'
import { environmentFile, floors, foundations, packageOwners, sharedContracts } from './house-rules.ts'

export type SourceFile = {
  /** Relative to src, with `/`. */
  readonly path: string
  readonly text: string
}

/** Every breach of the house rules, as `path:line: what`. */
export function checkHouse(files: readonly SourceFile[]): string[] {
  const known = new Set(files.map(({ path }) => path))
  return files.flatMap((file) => {
    if (floorOf(file.path) === undefined) return [`${file.path}: stands in no room of the house`]
    if (!file.path.endsWith('.ts')) return []
    const { references, environmentReads } = readSource(file)
    return [
      ...references.flatMap(({ specifier, line }) => {
        const fault = checkReference(file.path, specifier, known)
        return fault === undefined ? [] : [`${file.path}:${line}: ${fault}`]
      }),
      ...(file.path === environmentFile
        ? []
        : environmentReads.map(({ what, line }) => `${file.path}:${line}: reads ${what}; only ${environmentFile} may`)),
    ]
  })
}

function checkReference(from: string, specifier: string, known: ReadonlySet<string>): string | undefined {
  if (specifier.startsWith('node:')) return undefined
  if (!specifier.startsWith('.')) return checkPackage(from, specifier)
  const to = posix.normalize(posix.join(posix.dirname(from), specifier))
  if (to.startsWith('../')) return /\.[cm]?[jt]s$/.test(to) ? `imports ${specifier}, which is outside src` : undefined
  if (!known.has(to)) return `imports ${specifier}, which is not there`
  const [fromRoom, toRoom] = [roomOf(from), roomOf(to)]
  if (fromRoom === toRoom) return undefined
  if (foundations.includes(toRoom) && !foundations.includes(fromRoom)) return undefined
  if (sharedContracts.some(({ from: room, file }) => room === fromRoom && file === to)) return undefined
  const [fromFloor, toFloor] = [floorOf(from)!, floorOf(to)]
  if (toFloor === undefined) return `imports ${specifier}, which stands in no room`
  if (toFloor > fromFloor) return `imports upward: ${fromRoom} (floor ${fromFloor}) → ${toRoom} (floor ${toFloor})`
  if (toFloor === fromFloor) return `imports sideways: ${fromRoom} → ${toRoom} (both on floor ${toFloor})`
  return undefined
}

function checkPackage(from: string, specifier: string): string | undefined {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
  const owners = packageOwners[name]
  if (owners === undefined) return `imports the package ${name}, which no room owns`
  if (owners.some((owner) => from.startsWith(`${owner}/`))) return undefined
  return `imports the package ${name}, which only ${owners.join(', ')} may`
}

const roomOf = (path: string): string => path.slice(0, Math.max(path.indexOf('/'), 0))

function floorOf(path: string): number | undefined {
  const floor = floors.findIndex((rooms) => rooms.includes(roomOf(path)))
  return floor === -1 ? undefined : floor
}

type Found = { references: { specifier: string; line: number }[]; environmentReads: { what: string; line: number }[] }

function readSource({ path, text }: SourceFile): Found {
  // Type-only imports bind rooms as much as others do, so they must survive the stripping of types. Lengths stay, and so do lines.
  const kept = text.replace(/\b(import|export)( +)type(?= *[{*]|( +\w+ +from\b))/g, '$1$2    ')
  let program: AnyNode
  try {
    program = parse(stripTypeScriptTypes(kept), { ecmaVersion: 'latest', sourceType: 'module', locations: true })
  } catch (cause) {
    throw new Error(`${path} cannot be parsed`, { cause })
  }
  const found: Found = { references: [], environmentReads: [] }
  walk(program, (node) => visit(node, found))
  // import('…').Name in a type is erased with the types.
  for (const match of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)\s*\./g)) {
    found.references.push({ specifier: match[1]!, line: text.slice(0, match.index).split('\n').length })
  }
  return found
}

function visit(node: AnyNode, found: Found): void {
  const line = node.loc?.start.line ?? 0
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
    case 'ImportExpression': {
      if (node.source?.type !== 'Literal') return
      const specifier = String(node.source.value)
      found.references.push({ specifier, line })
      if (specifier === 'node:process' && node.type === 'ImportDeclaration') {
        for (const { type, ...rest } of node.specifiers) {
          const imported = type === 'ImportSpecifier' && 'imported' in rest ? nameOf(rest.imported) : undefined
          if (isSecret(imported)) found.environmentReads.push({ what: `${imported} of node:process`, line })
        }
      }
      return
    }
    case 'NewExpression': {
      // new URL('./worker.ts', import.meta.url) loads a module just as an import does.
      const [target, base] = node.arguments
      const isUrl = node.callee.type === 'Identifier' && node.callee.name === 'URL' && base?.type === 'MemberExpression'
      if (
        isUrl &&
        base.object.type === 'MetaProperty' &&
        target?.type === 'Literal' &&
        /\.ts$/.test(String(target.value))
      ) {
        found.references.push({ specifier: String(target.value), line })
      }
      return
    }
    case 'MemberExpression': {
      const property = nameOf(node.property)
      if (isProcess(node.object) && isSecret(property))
        found.environmentReads.push({ what: `process.${property}`, line })
      return
    }
    case 'VariableDeclarator':
      if (node.id.type === 'ObjectPattern' && node.init != null && isProcess(node.init)) {
        for (const property of node.id.properties) {
          const name = property.type === 'Property' ? nameOf(property.key) : 'everything'
          if (isSecret(name) || name === 'everything') found.environmentReads.push({ what: `process.${name}`, line })
        }
      }
  }
}

const isSecret = (name: string | undefined): boolean => name === 'env' || name === 'argv'

const isProcess = (node: AnyNode): boolean =>
  (node.type === 'Identifier' && node.name === 'process') ||
  (node.type === 'MemberExpression' &&
    node.object.type === 'Identifier' &&
    node.object.name === 'globalThis' &&
    nameOf(node.property) === 'process')

function nameOf(node: AnyNode): string | undefined {
  if (node.type === 'Identifier') return node.name
  return node.type === 'Literal' ? String(node.value) : undefined
}

function walk(node: AnyNode, visitor: (node: AnyNode) => void): void {
  visitor(node)
  for (const child of Object.values(node)) {
    for (const inner of Array.isArray(child) ? child : [child]) {
      if (typeof inner === 'object' && inner !== null && typeof inner.type === 'string') walk(inner as AnyNode, visitor)
    }
  }
}
