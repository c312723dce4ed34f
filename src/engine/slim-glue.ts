import type {
  AnyNode,
  ArrowFunctionExpression,
  AssignmentExpression,
  AwaitExpression,
  BlockStatement,
  CallExpression,
  FunctionDeclaration,
  FunctionExpression,
  NewExpression,
  Program,
  Statement,
  TryStatement,
} from 'acorn'
import { parse } from 'acorn'
import { dropUnused, undeclared } from './glue-names.ts'
import { childrenOf, isCallOf, SourceEdits } from './source-edits.ts'

export type SlimGlue =
  | { readonly slim: true; readonly source: string }
  | { readonly slim: false; readonly reason: string }

/** jco's output does not have the shape this pass was written for. */
class NotRecognised extends Error {
  override readonly name = 'NotRecognised'
}

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

/** None of these may be left. */
const bookkeepingNames = [
  '_debugLog',
  'createNewCurrentTask',
  'getCurrentTask',
  'getOrCreateAsyncState',
  '_getGlobalCurrentTaskMeta',
  '_withGlobalCurrentTaskMeta',
  '_withGlobalCurrentTaskMetaAsync',
  '_trackHostOperation',
  '_suspendingImport',
  '_lowerImportBackwardsCompat',
  '_guardMayLeave',
  '_checkMayLeave',
  'CURRENT_TASK_MAY_BLOCK',
  'CURRENT_TASK_META',
  'INSTANCE_FLAGS',
  'STORE_ASYNC_STATE',
  '_createdReps',
  '_jcoMaySuspend',
  'AsyncTask',
]

const taskVariables = new Set([
  'hostProvided',
  'parentTask',
  'task',
  'subtask',
  'createTask',
  'started',
  'cstate',
  '_wasm_call_currentTaskID',
])

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

/**
 * How a guest's memory is read: a list of bytes by `Uint8Array.prototype.slice`, which keeps short ones inside V8's heap (an
 * ArrayBuffer of their own costs 1.5 µs), and short texts by comparison with the last one at that place (guests pass the same names again
 * and again). Out of bounds is a trap, as the canonical ABI has it.
 */
const memoryAccess = `
let $buffer, $bytes;
const $view = (memory, at, length) => {
  const buffer = memory.buffer;
  if (buffer !== $buffer) { $buffer = buffer; $bytes = new Uint8Array(buffer); }
  if (at + length > $bytes.length) throw new WebAssembly.RuntimeError('pointer out of bounds');
  return $bytes;
};
const $copyBytes = (memory, at, length) => {
  at >>>= 0; length >>>= 0;
  const bytes = $view(memory, at, length);
  if (length < 16384) return bytes.slice(at, at + length);
  const copy = $take(length);
  copy.set(bytes.subarray(at, at + length));
  return copy;
};
const $texts = new Array(64);
const $readText = (memory, at, length) => {
  at >>>= 0; length >>>= 0;
  const bytes = $view(memory, at, length);
  if (length > 48) return TEXT_DECODER_UTF8.decode(bytes.subarray(at, at + length));
  const slot = (at ^ length) & 63;
  const known = $texts[slot];
  if (known !== undefined && known.length === length) {
    let index = 0;
    while (index < length && bytes[at + index] === known.charCodeAt(index)) index++;
    if (index === length) return known;
  }
  const text = TEXT_DECODER_UTF8.decode(bytes.subarray(at, at + length));
  if (text.length === length) $texts[slot] = text;
  return text;
};
`

/**
 * The host's objects by their number in the tables of handles, in place of jco's Maps: a guest holds few at a time, and a Map that is
 * written and cleared for each makes a new table every few calls.
 */
const captureClass = `
class $Captures {
  reps = [];
  values = [];
  map;
  get(rep) {
    if (this.map !== undefined) return this.map.get(rep);
    const at = this.reps.lastIndexOf(rep);
    return at === -1 ? undefined : this.values[at];
  }
  set(rep, value) {
    if (this.map !== undefined) return this.map.set(rep, value);
    const at = this.reps.lastIndexOf(rep);
    if (at !== -1) this.values[at] = value;
    else if (this.reps.length < 16) { this.reps.push(rep); this.values.push(value); }
    else { this.map = new Map(this.reps.map((each, index) => [each, this.values[index]])).set(rep, value); this.reps = this.values = undefined; }
  }
  delete(rep) {
    if (this.map !== undefined) return this.map.delete(rep);
    const { reps, values } = this;
    const at = reps.lastIndexOf(rep);
    if (at === -1) return;
    const lastRep = reps.pop(), lastValue = values.pop();
    if (at < reps.length) { reps[at] = lastRep; values[at] = lastValue; }
  }
}
`

/** `const captureTableN = new Map()` of tables that are used in no way but those of `$Captures`: the statement, and its `new Map()`. */
function captureTables(generator: FunctionExpression): ReadonlyMap<AnyNode, AnyNode> {
  const made = new Map<string, { statement: AnyNode; init: AnyNode }>()
  for (const statement of generator.body.body) {
    if (statement.type !== 'VariableDeclaration' || statement.declarations.length !== 1) continue
    const [{ id, init } = { id: undefined, init: undefined }] = statement.declarations
    if (id?.type !== 'Identifier' || !/^captureTable\d+$/.test(id.name)) continue
    if (init?.type !== 'NewExpression' || rootName(init.callee as AnyNode) !== 'Map' || init.arguments.length > 0)
      continue
    made.set(id.name, { statement, init })
  }
  const look = (node: AnyNode): void => {
    if (node.type === 'VariableDeclarator') {
      if (node.init) look(node.init)
    } else if (node.type === 'MemberExpression' && node.object.type === 'Identifier') {
      if (!['get', 'set', 'delete'].some((name) => isMember(node, name))) made.delete(node.object.name)
      if (node.computed) look(node.property)
    } else if (node.type === 'Identifier') made.delete(node.name)
    else for (const child of childrenOf(node)) look(child)
  }
  look(generator)
  return new Map([...made.values()].map(({ statement, init }) => [statement, init]))
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

/** `new Uint8Array(memory.buffer.slice(at, at + length * 1))` and `TEXT_DECODER_UTF8.decode(new Uint8Array(memory.buffer, at, length))`. */
function memoryRead(node: AnyNode): string | undefined {
  if (node.type === 'CallExpression') {
    const [view] = node.arguments
    if (!isMember(node.callee, 'decode') || rootName(node.callee) !== 'TEXT_DECODER_UTF8' || view === undefined)
      return undefined
    if (!isNewBytes(view)) return undefined
    const [buffer, at, length] = view.arguments
    if (buffer === undefined || at?.type !== 'Identifier' || length?.type !== 'Identifier') return undefined
    const memory = memoryOf(buffer)
    return memory && `$readText(${memory}, ${at.name}, ${length.name})`
  }
  if (!isNewBytes(node)) return undefined
  const [slice] = node.arguments
  if (slice?.type !== 'CallExpression' || slice.callee.type !== 'MemberExpression' || !isMember(slice.callee, 'slice'))
    return undefined
  const memory = memoryOf(slice.callee.object)
  const [at, end] = slice.arguments
  if (memory === undefined || at?.type !== 'Identifier' || end?.type !== 'BinaryExpression' || end.operator !== '+')
    return undefined
  const { left, right } = end
  if (
    left.type !== 'Identifier' ||
    left.name !== at.name ||
    right.type !== 'BinaryExpression' ||
    right.operator !== '*'
  )
    return undefined
  if (right.left.type !== 'Identifier' || right.right.type !== 'Literal' || right.right.value !== 1) return undefined
  return `$copyBytes(${memory}, ${at.name}, ${right.left.name})`
}

function isNewBytes(node: AnyNode): node is NewExpression {
  return node.type === 'NewExpression' && node.callee.type === 'Identifier' && node.callee.name === 'Uint8Array'
}

/** The memory's name in `memoryN.buffer`. */
function memoryOf(node: AnyNode): string | undefined {
  return isMember(node, 'buffer') && node.type === 'MemberExpression' && node.object.type === 'Identifier'
    ? node.object.name
    : undefined
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

/** Statements that only keep the books of tasks. */
function isBookkeeping(node: AnyNode): boolean {
  switch (node.type) {
    case 'ExpressionStatement': {
      const { expression } = node
      if (isCallOf(expression, '_debugLog')) return true
      if (expression.type === 'CallExpression') {
        const root = rootName(expression.callee)
        return root === 'task' || (root === 'getOrCreateAsyncState' && expression.callee.type === 'MemberExpression')
      }
      if (expression.type !== 'AssignmentExpression') return false
      return isMember(expression.left, 'mayLeave') || rootName(expression.left) === 'CURRENT_TASK_MAY_BLOCK'
    }
    case 'VariableDeclaration':
      return node.declarations.every(({ id }) =>
        id.type === 'ArrayPattern'
          ? id.elements.every((element) => element?.type === 'Identifier' && taskVariables.has(element.name))
          : id.type === 'Identifier' && taskVariables.has(id.name),
      )
    case 'LabeledStatement':
      return node.label.name === 'taskCreation'
    case 'IfStatement': {
      if (node.alternate) return false
      const { test } = node
      if (test.type === 'UnaryExpression' && rootName(test.argument) === 'started') return true
      // A trap is an Error, and getErrorPayload throws those on by itself.
      if (
        test.type === 'CallExpression' &&
        rootName(test.callee) === 'getOrCreateAsyncState' &&
        isMember(test.callee, 'markTrapped')
      )
        return true
      return (
        node.consequent.type === 'BlockStatement' &&
        node.consequent.body.length > 0 &&
        node.consequent.body.every(isBookkeeping)
      )
    }
    default:
      return false
  }
}

/** The error is noted in the task and goes on to the caller. */
function isBookkeepingCatch({ handler, finalizer }: TryStatement): boolean {
  if (!handler || finalizer) return false
  const statements = handler.body.body
  const last = statements.at(-1)
  const goesOn =
    last?.type === 'ThrowStatement' ||
    (last?.type === 'ReturnStatement' &&
      last.argument?.type === 'CallExpression' &&
      isMember(last.argument.callee, 'completionPromise'))
  return goesOn && statements.slice(0, -1).every(isBookkeeping)
}

function isWrapper(node: AnyNode): node is CallExpression {
  return isCallOf(node, '_withGlobalCurrentTaskMeta') || isCallOf(node, '_withGlobalCurrentTaskMetaAsync')
}

/** The function that `_withGlobalCurrentTaskMeta({ …, fn })` calls. */
function wrapped(call: CallExpression): ArrowFunctionExpression {
  const [options] = call.arguments
  if (options?.type === 'ObjectExpression') {
    for (const property of options.properties) {
      if (property.type !== 'Property' || property.key.type !== 'Identifier' || property.key.name !== 'fn') continue
      if (property.value.type === 'ArrowFunctionExpression') return property.value
    }
  }
  throw new NotRecognised('a call is wrapped in an unknown way')
}

/** `_trackHostOperation(() => X)`, `_guardMayLeave(0, X)`, `Object.assign(X, { _jcoMaySuspend })`: the X. */
function passedThrough(call: CallExpression): AnyNode | BlockStatement | undefined {
  if (isCallOf(call, '_trackHostOperation')) {
    const [fn] = call.arguments
    return fn?.type === 'ArrowFunctionExpression' ? fn.body : undefined
  }
  if (isCallOf(call, '_guardMayLeave')) return call.arguments[1]
  if (isMember(call.callee, 'assign') && rootName(call.callee) === 'Object') {
    const [target, extra] = call.arguments
    if (extra?.type !== 'ObjectExpression' || extra.properties.length !== 1) return undefined
    const [property] = extra.properties
    return property?.type === 'Property' && property.key.type === 'Identifier' && property.key.name === '_jcoMaySuspend'
      ? target
      : undefined
  }
  return undefined
}

function unwrapCall(node: AnyNode): AnyNode {
  if (node.type !== 'CallExpression') return node
  const inner = isWrapper(node) ? wrapped(node).body : passedThrough(node)
  return inner === undefined ? node : unwrapCall(inner)
}

/** `x._createdReps.add(…)` or `x._createdReps = …`: a set that only grows. */
function isCreatedReps(node: AnyNode): boolean {
  if (node.type === 'AssignmentExpression') return isMember(node.left, '_createdReps')
  return (
    node.type === 'CallExpression' &&
    node.callee.type === 'MemberExpression' &&
    isMember(node.callee.object, '_createdReps')
  )
}

function isMember(node: AnyNode, name: string): boolean {
  return (
    node.type === 'MemberExpression' &&
    !node.computed &&
    node.property.type === 'Identifier' &&
    node.property.name === name
  )
}

/** The name that a chain of members and calls starts with. */
function rootName(node: AnyNode): string | undefined {
  if (node.type === 'Identifier') return node.name
  if (node.type === 'MemberExpression') return rootName(node.object)
  if (node.type === 'CallExpression') return rootName(node.callee)
  return undefined
}
