import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
} from 'yaml'
import type { SourcePosition } from '../errors/herald-error.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { formatKeyPath, type KeyPath, type Problem } from './problem.ts'

/** One document of a YAML file: its plain value, and where each key stands. */
export type YamlDocument = {
  readonly value: unknown
  /** Position of a value, or of the nearest enclosing key that exists when the value itself is missing. */
  locate(path: KeyPath, at: 'key' | 'value'): SourcePosition
}

/** Aliases one document may expand; more is an attack or a mistake ("billion laughs"). */
const maxAliasCount = 100

/**
 * Parses all documents of a file with YAML 1.2's core schema; empty ones are left out.
 * @returns the documents, or every syntax error of the file.
 */
export function parseYamlDocuments(
  text: string,
  file: string,
): { documents: readonly YamlDocument[] } | { errors: readonly HeraldError[] } {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, strict: true, version: '1.2' })
  const documents: Document[] = Array.isArray(parsed) ? parsed : []
  const place = (offset: number): SourcePosition => {
    const { line, col } = lines.linePos(offset)
    return { file, line, column: col }
  }
  const errors = documents.flatMap((document) =>
    [...document.errors, ...document.warnings].map(
      (error) =>
        new HeraldError('ERR_MANIFEST_INVALID', error.message, {
          where: place(error.pos[0]),
          hint: 'correct the YAML',
        }),
    ),
  )
  if (errors.length > 0) return { errors }

  const result: YamlDocument[] = []
  for (const document of documents) {
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) continue
    try {
      result.push({
        value: document.toJS({ maxAliasCount }),
        locate: (path, at) => ({
          ...place(offsetOf(document, path, at)),
          ...(path.length > 0 && { key: formatKeyPath(path) }),
        }),
      })
    } catch (cause) {
      const message = cause instanceof ReferenceError ? 'too many aliases' : 'the document cannot be read'
      return { errors: [new HeraldError('ERR_MANIFEST_INVALID', message, { where: { file }, cause })] }
    }
  }
  return { documents: result }
}

/** A {@link Problem} with its place in the file. */
export function placeProblem(problem: Problem, document: YamlDocument): HeraldError {
  const code = codes[problem.kind ?? 'invalid']
  return new HeraldError(code, problem.message, {
    where: document.locate(problem.path, problem.at),
    ...(problem.hint !== undefined && { hint: problem.hint }),
  })
}

const codes = {
  invalid: 'ERR_MANIFEST_INVALID',
  unsupported: 'ERR_MANIFEST_UNSUPPORTED',
  image: 'ERR_IMAGE_INVALID',
  'image-not-found': 'ERR_IMAGE_NOT_FOUND',
} as const

function offsetOf(document: Document, path: KeyPath, at: 'key' | 'value'): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [index, part] of path.entries()) {
    const last = index === path.length - 1
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find((item) => keyOf(item) === String(part))
      if (pair === undefined) return offset
      const keyOffset = startOf(pair.key) ?? offset
      // An empty value (`image:`) has no text of its own.
      const empty = pair.value === null || (isScalar(pair.value) && (pair.value.source ?? '') === '')
      offset = (last && at === 'key') || empty ? keyOffset : (startOf(pair.value) ?? keyOffset)
      node = pair.value
    } else if (isSeq(node)) {
      const item = typeof part === 'number' ? node.items[part] : undefined
      if (item === undefined) return offset
      offset = startOf(item) ?? offset
      node = item
    } else {
      return offset
    }
  }
  return offset
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined
}
