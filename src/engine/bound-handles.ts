import type { AnyNode, FunctionDeclaration, Program } from 'acorn'

/** Handles of one resource type that one instance may hold: fields, pollables, requests, responses, bodies, streams, those of capabilities. */
export const maxHandlesPerType = 4_096

/** Of the error that one handle more throws. */
export const handleLimitCode = 'ERR_COMPONENT_HANDLES'

/** The guest held too many handles, or had too much open: not a trap of its own. */
export function hasTooManyHandles(error: unknown): boolean {
  return (error as { code?: unknown } | null | undefined)?.code === handleLimitCode
}

/**
 * Where jco's glue makes a table of handles longer, and what is to be said there: a table that has no free place grows without end otherwise, in
 * the memory of the host. Nothing is looked at while there are free places.
 * @returns undefined when the glue has no such tables
 * @throws Error when the function that makes handles has another shape than jco 1.35's
 */
export function boundHandles(program: Program): { readonly at: number; readonly text: string } | undefined {
  const [create, ...more] = program.body.flatMap(innerFunctions).filter(({ id }) => id.name === 'rscTableCreateOwn')
  if (create === undefined) return undefined
  const [table] = create.params
  const full = create.body.body.find((statement) => statement.type === 'IfStatement')
  const grows = full?.consequent.type === 'BlockStatement' ? full.consequent : undefined
  if (more.length > 0 || table?.type !== 'Identifier' || grows === undefined) {
    throw new Error("jco's glue makes handles in a way that is not known")
  }
  // Two numbers each, after two of its own.
  const condition = `${table.name}.length >= ${2 * maxHandlesPerType + 2}`
  const message = `the guest holds ${maxHandlesPerType} handles of one resource type, and may hold no more`
  return {
    at: grows.start + 1,
    text: ` if (${condition}) throw Object.assign(new Error('${message}'), { code: '${handleLimitCode}' });`,
  }
}

/** A function of the module, and those that stand directly in it. */
function innerFunctions(node: AnyNode): FunctionDeclaration[] {
  const declared = node.type === 'ExportNamedDeclaration' ? node.declaration : node
  if (declared?.type !== 'FunctionDeclaration' || declared.id === null) return []
  const inner = declared.body.body.filter((each) => each.type === 'FunctionDeclaration')
  return [declared as FunctionDeclaration, ...(inner as FunctionDeclaration[])]
}
