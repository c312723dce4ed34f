import type {
  AnyNode,
  AssignmentExpression,
  AwaitExpression,
  FunctionDeclaration,
  FunctionExpression,
  Program,
  Statement,
} from 'acorn'
import { parse } from 'acorn'
import {
  bookkeepingNames,
  isBookkeeping,
  isBookkeepingCatch,
  isCreatedReps,
  isWrapper,
  NotRecognised,
  passedThrough,
  unwrapCall,
  wrapped,
} from './glue-bookkeeping.ts'
import { dropUnused, undeclared } from './glue-names.ts'
import { captureClass, captureTables, memoryAccess, memoryRead } from './glue-runtime.ts'
import { childrenOf, isCallOf, isMember, rootName, SourceEdits } from './source-edits.ts'

export type SlimGlue =
  | { readonly slim: true; readonly source: string }
  | { readonly slim: false; readonly reason: string }

/**
 * jco 1.35.0 wraps every import and export call in objects of the component model's async tasks, also for components that have none
 * (`docs/decisions/engine-slim-glue.md`). This pass removes that bookkeeping on the syntax tree, lets a suspending import that has its
 * result at once return it without suspending, and drops what is then unused. It recognises statement by statement what it removes;
 * if a trace of the bookkeeping is left at the end, or anything is not recognised, the caller keeps jco's own output.
 */
export function slimGlue(source: string): SlimGlue {
  try {
    const edited = new GluePass(source).run()
    const slim = dropUnused(edited)
    const left = bookkeepingNames.find((name) => new RegExp(`\\b${name}\\b`).test(slim))
    if (left !== undefined) return { slim: false, reason: `${left} is still used` }
    const program = parse(slim, { ecmaVersion: 'latest', sourceType: 'module' })
    const missing = undeclared(program)
    if (missing !== undefined) return { slim: false, reason: `${missing} is not declared` }
    return { slim: true, source: returnLastWaits(slim, program) }
  } catch (error) {
    if (error instanceof NotRecognised || error instanceof SyntaxError) return { slim: false, reason: error.message }
    throw error
  }
}

/** `instantiate`'s last parameter: makes of an exported core function that may suspend the function that enters it. */
const entryMaker = '$enter'
/** The one behind it: gives the array that a longer list of bytes is copied into. */
const arrayMaker = '$take'

/** An export without a result that waits for the guest at its very end gives its caller that promise instead of one of its own. */
function returnLastWaits(source: string, program: Program): string {
  const edits = new SourceEdits(source)
  const awaitsIn = (node: AnyNode): number =>
    node.type === 'AwaitExpression' ? 1 : childrenOf(node).reduce((sum, child) => sum + awaitsIn(child), 0)
  const look = (node: AnyNode): void => {
    if (node.type !== 'FunctionDeclaration' || !node.async || awaitsIn(node.body) !== 1) {
      for (const child of childrenOf(node)) look(child)
      return
    }
    let last: AnyNode | undefined = node.body
    while (last?.type === 'BlockStatement') last = last.body.at(-1)
    if (last?.type !== 'ExpressionStatement' || last.expression.type !== 'AwaitExpression') return
    edits.remove({ start: node.start, end: node.start + 'async '.length })
    edits.replace({ start: last.expression.start, end: last.expression.start + 'await'.length }, 'return')
  }
  look(program)
  return edits.apply()
}

class GluePass {
  readonly #source: string
  readonly #edits: SourceEdits
  /** `_trampolineN` that jco declares suspending. */
  readonly #suspending = new Set<string>()

  constructor(source: string) {
    this.#source = source
    this.#edits = new SourceEdits(source)
  }

  run(): string {
    const program = parse(this.#source, { ecmaVersion: 'latest', sourceType: 'module' })
    const instantiate = program.body
      .map((node) => (node.type === 'ExportNamedDeclaration' ? node.declaration : undefined))
      .find((node) => node?.type === 'FunctionDeclaration' && node.id.name === 'instantiate')
    if (instantiate?.type !== 'FunctionDeclaration') throw new NotRecognised('no function instantiate')
    const generator = findGenerator(instantiate)
    this.#findSuspending(generator)
    for (const statement of instantiate.body.body) {
      if (statement.start <= generator.start && generator.end <= statement.end) continue
      // Functions of jco's own runtime: what is left of them is used as it is, without its debug output and its leak.
      this.#visitRuntime(statement)
    }
    const captures = captureTables(generator)
    for (const statement of generator.body.body) {
      const table = captures.get(statement)
      if (table === undefined) this.#visitDefinition(statement)
      else this.#edits.replace(table, 'new $Captures()')
    }
    const lastParameter = instantiate.params.at(-1)
    if (lastParameter === undefined) throw new NotRecognised('instantiate has no parameters')
    this.#edits.insert(
      lastParameter.end,
      `, ${entryMaker} = (entry) => WebAssembly.promising(entry), ${arrayMaker} = (length) => new Uint8Array(length)`,
    )
    this.#edits.insert(instantiate.body.start + 1, memoryAccess + captureClass)
    return this.#edits.apply()
  }

  #findSuspending(generator: FunctionExpression): void {
    for (const { type, ...statement } of generator.body.body) {
      if (type !== 'ExpressionStatement' || !('expression' in statement)) continue
      const { expression } = statement as { expression: AnyNode }
      if (expression.type !== 'AssignmentExpression' || !isMember(expression.left, 'manuallyAsync')) continue
      if (expression.right.type !== 'Literal' || expression.right.value !== true) continue
      this.#suspending.add(rootName(expression.left) ?? '')
    }
  }

  #visitRuntime(node: AnyNode): void {
    if (
      node.type === 'ExpressionStatement' &&
      (isCallOf(node.expression, '_debugLog') || isCreatedReps(node.expression))
    ) {
      this.#edits.remove(node)
      return
    }
    for (const child of childrenOf(node)) this.#visitRuntime(child)
  }

  /** A statement of the generator that instantiates: definitions of trampolines and exports, instantiation of modules. */
  #visitDefinition(statement: Statement | AnyNode): void {
    if (statement.type === 'FunctionDeclaration' && !/^trampoline\d+$/.test(statement.id?.name ?? '')) {
      this.#visit(statement.body)
      return
    }
    if (statement.type === 'VariableDeclaration' && statement.declarations.length === 1) {
      const [{ id, init } = { id: undefined, init: undefined }] = statement.declarations
      if (id?.type === 'Identifier' && init?.type === 'FunctionExpression' && id.name.startsWith('_trampoline')) {
        this.#visitTrampoline(init)
        return
      }
      if (id?.type === 'Identifier' && init?.type === 'ConditionalExpression' && /^trampoline\d+$/.test(id.name)) {
        this.#replaceLowering(init, `_${id.name}`)
        return
      }
    }
    if (statement.type === 'ExpressionStatement') {
      const { expression } = statement
      if (
        expression.type === 'AssignmentExpression' &&
        (isMember(expression.left, 'manuallyAsync') || isMember(expression.left, 'fnName'))
      ) {
        this.#edits.remove(statement)
        return
      }
      if (
        isCreatedReps(expression) ||
        (expression.type === 'CallExpression' && rootName(expression.callee) === 'INSTANCE_FLAGS')
      ) {
        this.#edits.remove(statement)
        return
      }
    }
    this.#visit(statement)
  }

  /** `let trampolineN = _trampolineN.manuallyAsync ? new WebAssembly.Suspending(…) : _lowerImportBackwardsCompat.bind(…)` */
  #replaceLowering(node: Extract<AnyNode, { type: 'ConditionalExpression' }>, lowered: string): void {
    const bind = node.alternate
    if (
      bind.type !== 'CallExpression' ||
      rootName(bind.callee) !== '_lowerImportBackwardsCompat' ||
      !isMember(bind.callee, 'bind')
    ) {
      throw new NotRecognised('an import is lowered in an unknown way')
    }
    const options = bind.arguments[1]
    if (options?.type !== 'ObjectExpression') throw new NotRecognised('an import is lowered without options')
    for (const property of options.properties) {
      if (property.type !== 'Property' || property.key.type !== 'Identifier')
        throw new NotRecognised('an import has unknown options')
      const { name } = property.key
      const isFalse = property.value.type === 'Literal' && property.value.value === false
      if ((name === 'isAsync' || name === 'funcTypeIsAsync' || name === 'isCancellable') && !isFalse)
        throw new NotRecognised('an import is async')
      if (name === 'importFn' && !(property.value.type === 'Identifier' && property.value.name === lowered)) {
        throw new NotRecognised('an import is lowered to another function')
      }
    }
    this.#edits.replace(node, this.#suspending.has(lowered) ? `new WebAssembly.Suspending(${lowered})` : lowered)
  }

  #visitTrampoline(fn: FunctionExpression): void {
    this.#visit(fn.body)
    if (!fn.async) return
    const waits = this.#awaitsOf(fn.body)
    const wait = waits[0]
    if (wait === undefined || waits.length > 1) throw new NotRecognised(`an async import waits ${waits.length} times`)
    const statement = fn.body.body.find((each) => each.start <= wait.start && wait.end <= each.end)!
    const call = this.#edits.rendered(unwrapCall(wait.argument))
    // What follows the call becomes a continuation: run at once when the result is there, or when its promise settles.
    this.#edits.remove({ start: fn.start, end: fn.start + 'async '.length })
    this.#edits.insert(statement.start, 'const $then = ($value, $failed) => {\n')
    this.#edits.replace(wait, '($failed ? (() => { throw $value })() : $value)')
    this.#edits.insert(
      fn.body.end - 1,
      `};\nlet $result;\ntry { $result = ${call} } catch ($error) { return $then($error, true) }\n` +
        'if (typeof $result?.then === "function") return Promise.resolve($result).then(($value) => $then($value, false), ($error) => $then($error, true));\n' +
        'return $then($result, false);\n',
    )
  }

  #awaitsOf(node: AnyNode): AwaitExpression[] {
    if (this.#edits.removed(node)) return []
    if (node.type === 'AwaitExpression') return [node]
    return childrenOf(node).flatMap((child) => this.#awaitsOf(child))
  }

  #visit(node: AnyNode): void {
    if (isBookkeeping(node)) {
      this.#edits.remove(node)
      return
    }
    if (node.type === 'TryStatement' && isBookkeepingCatch(node)) {
      this.#edits.keepOnly(node, node.block)
      this.#visit(node.block)
      return
    }
    if (
      node.type === 'ReturnStatement' &&
      node.argument?.type === 'AwaitExpression' &&
      isWrapper(node.argument.argument)
    ) {
      const { body } = wrapped(node.argument.argument)
      if (body.type === 'BlockStatement') {
        this.#edits.keepOnly(node, body)
        this.#visit(body)
        return
      }
    }
    if (isForgottenHandle(node)) {
      this.#edits.insert(
        node.start,
        `if (${this.#source.slice(node.expression.left.start, node.expression.left.end)}) `,
      )
      return
    }
    const access = memoryRead(node)
    if (access !== undefined) {
      this.#edits.replace(node, access)
      return
    }
    if (node.type === 'CallExpression') {
      if (isMember(node.callee, 'promising') && rootName(node.callee) === 'WebAssembly') {
        this.#edits.replace(node.callee, entryMaker)
      }
      const inner = isWrapper(node) ? wrapped(node).body : passedThrough(node)
      if (inner !== undefined) {
        if (inner.type === 'BlockStatement') throw new NotRecognised('a call is wrapped in an unknown way')
        this.#edits.keepOnly(node, inner, { parenthesise: true })
        this.#visit(inner)
        return
      }
    }
    for (const child of childrenOf(node)) this.#visit(child)
  }
}

/** `object[symbolRscHandle] = undefined`, after a call that borrowed the object: nearly always it was never set. */
function isForgottenHandle(
  node: AnyNode,
): node is Extract<AnyNode, { type: 'ExpressionStatement' }> & { expression: AssignmentExpression } {
  if (node.type !== 'ExpressionStatement' || node.expression.type !== 'AssignmentExpression') return false
  const { left, right, operator } = node.expression
  return (
    operator === '=' &&
    left.type === 'MemberExpression' &&
    left.computed &&
    left.object.type === 'Identifier' &&
    left.property.type === 'Identifier' &&
    left.property.name === 'symbolRscHandle' &&
    right.type === 'Identifier' &&
    right.name === 'undefined'
  )
}

function findGenerator(instantiate: FunctionDeclaration): FunctionExpression {
  for (const statement of instantiate.body.body) {
    if (statement.type !== 'VariableDeclaration') continue
    for (const { id, init } of statement.declarations) {
      if (id.type !== 'Identifier' || id.name !== 'gen' || init?.type !== 'CallExpression') continue
      const { callee } = init
      if (callee.type === 'FunctionExpression' && callee.generator) return callee
    }
  }
  throw new NotRecognised('no generator that instantiates')
}
