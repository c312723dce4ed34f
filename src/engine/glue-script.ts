import { parse } from 'acorn'

/**
 * jco's module as a classic script whose value is its `instantiate` function, so that a cell can run it without a loader.
 * @throws Error when the module has imports or does not export `instantiate`
 */
export function glueToScript(source: string): string {
  const program = parse(source, { ecmaVersion: 'latest', sourceType: 'module' })
  let out = ''
  let at = 0
  let found = false
  for (const node of program.body) {
    if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      if (node.declaration.type === 'FunctionDeclaration' && node.declaration.id.name === 'instantiate') found = true
      out += source.slice(at, node.start)
      at = node.declaration.start
    } else if (node.type === 'ImportDeclaration' || node.type.startsWith('Export')) {
      throw new Error(`jco's glue has a statement that is not expected: ${node.type}`)
    }
  }
  if (!found) throw new Error("jco's glue does not export instantiate")
  return `(() => {'use strict';${out}${source.slice(at)}\nreturn instantiate })()`
}
