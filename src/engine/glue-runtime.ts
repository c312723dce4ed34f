import type { AnyNode, FunctionExpression, NewExpression } from 'acorn'
import { childrenOf, isMember, rootName } from './source-edits.ts'

/**
 * How a guest's memory is read: a list of bytes by `Uint8Array.prototype.slice`, which keeps short ones inside V8's heap (an
 * ArrayBuffer of their own costs 1.5 µs), and short texts by comparison with the last one at that place (guests pass the same names again
 * and again). Out of bounds is a trap, as the canonical ABI has it.
 */
export const memoryAccess = `
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
export const captureClass = `
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
export function captureTables(generator: FunctionExpression): ReadonlyMap<AnyNode, AnyNode> {
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

/** `new Uint8Array(memory.buffer.slice(at, at + length * 1))` and `TEXT_DECODER_UTF8.decode(new Uint8Array(memory.buffer, at, length))`. */
export function memoryRead(node: AnyNode): string | undefined {
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
