import type { AnyNode, ArrowFunctionExpression, BlockStatement, CallExpression, TryStatement } from 'acorn'
import { isCallOf, isMember, rootName } from './source-edits.ts'

/** jco's output does not have the shape this pass was written for. */
export class NotRecognised extends Error {
  override readonly name = 'NotRecognised'
}

/** None of these may be left. */
export const bookkeepingNames = [
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

/** Statements that only keep the books of tasks. */
export function isBookkeeping(node: AnyNode): boolean {
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
export function isBookkeepingCatch({ handler, finalizer }: TryStatement): boolean {
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

export function isWrapper(node: AnyNode): node is CallExpression {
  return isCallOf(node, '_withGlobalCurrentTaskMeta') || isCallOf(node, '_withGlobalCurrentTaskMetaAsync')
}

/** The function that `_withGlobalCurrentTaskMeta({ …, fn })` calls. */
export function wrapped(call: CallExpression): ArrowFunctionExpression {
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
export function passedThrough(call: CallExpression): AnyNode | BlockStatement | undefined {
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

export function unwrapCall(node: AnyNode): AnyNode {
  if (node.type !== 'CallExpression') return node
  const inner = isWrapper(node) ? wrapped(node).body : passedThrough(node)
  return inner === undefined ? node : unwrapCall(inner)
}

/** `x._createdReps.add(…)` or `x._createdReps = …`: a set that only grows. */
export function isCreatedReps(node: AnyNode): boolean {
  if (node.type === 'AssignmentExpression') return isMember(node.left, '_createdReps')
  return (
    node.type === 'CallExpression' &&
    node.callee.type === 'MemberExpression' &&
    isMember(node.callee.object, '_createdReps')
  )
}
