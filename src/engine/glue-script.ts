import { parse } from 'acorn'
import { boundHandles } from './bound-handles.ts'

/**
 * jco's module as a classic script whose value is its `instantiate` function, so that a cell can run it without a loader. Handles are bounded.
 * @throws Error when the module has imports, does not export `instantiate`, or makes handles in an unknown way
 */
export function glueToScript(source: string): string {
  const program = parse(source, { ecmaVersion: 'latest', sourceType: 'module' })
  let out = ''
  let at = 0
  let found = false
  const bound = boundHandles(program)
  for (const node of program.body) {
    if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      if (node.declaration.type === 'FunctionDeclaration' && node.declaration.id.name === 'instantiate') found = true
      out += source.slice(at, node.start)
      at = node.declaration.start
      if (bound !== undefined && bound.at > node.start && bound.at < node.end) {
        out += source.slice(at, bound.at) + bound.text
        at = bound.at
      }
    } else if (node.type === 'ImportDeclaration' || node.type.startsWith('Export')) {
      throw new Error(`jco's glue has a statement that is not expected: ${node.type}`)
    }
  }
  if (!found) throw new Error("jco's glue does not export instantiate")
  return `(() => {'use strict';${out}${source.slice(at)}\nreturn instantiate })()`
}
