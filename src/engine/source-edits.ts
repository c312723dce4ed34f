import type { AnyNode } from 'acorn'

type Range = { readonly start: number; readonly end: number }

/** Edits of a source text by positions of its syntax tree; they may not overlap. */
export class SourceEdits {
  readonly #source: string
  readonly #edits: { start: number; end: number; text: string }[] = []
  readonly #removed = new WeakSet<Range>()

  constructor(source: string) {
    this.#source = source
  }

  remove(node: Range): void {
    this.#removed.add(node)
    this.#edits.push({ start: node.start, end: node.end, text: '' })
  }

  insert(at: number, text: string): void {
    this.#edits.push({ start: at, end: at, text })
  }

  /** Replaces a node; edits made inside it before are dropped. */
  replace({ start, end }: Range, text: string): void {
    for (let index = this.#edits.length - 1; index >= 0; index--) {
      const edit = this.#edits[index]!
      if (edit.start >= start && edit.end <= end) this.#edits.splice(index, 1)
    }
    this.#edits.push({ start, end, text })
  }

  /** Removes `outer` around `inner`. */
  keepOnly(outer: Range, inner: Range, { parenthesise = false } = {}): void {
    this.#edits.push({ start: outer.start, end: inner.start, text: parenthesise ? '(' : '' })
    this.#edits.push({ start: inner.end, end: outer.end, text: parenthesise ? ')' : '' })
  }

  /** Whether this very node was removed. */
  removed(node: Range): boolean {
    return this.#removed.has(node)
  }

  /** The text of a node with the edits so far. */
  rendered({ start, end }: Range): string {
    return this.#render(start, end)
  }

  apply(): string {
    return this.#render(0, this.#source.length)
  }

  #render(start: number, end: number): string {
    const edits = this.#edits
      .filter((edit) => edit.start >= start && edit.end <= end)
      .sort((a, b) => a.start - b.start || a.end - b.end)
    let out = ''
    let at = start
    for (const edit of edits) {
      if (edit.start < at) throw new Error('edits of the glue overlap')
      out += this.#source.slice(at, edit.start) + edit.text
      at = edit.end
    }
    return out + this.#source.slice(at, end)
  }
}

/** The nodes directly below a node, in the order of its fields. */
export function childrenOf(node: AnyNode): AnyNode[] {
  const children: AnyNode[] = []
  for (const value of Object.values(node) as unknown[]) {
    if (Array.isArray(value)) {
      for (const each of value) if (isNode(each)) children.push(each)
    } else if (isNode(value)) children.push(value)
  }
  return children
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}

export function isCallOf(node: AnyNode, name: string): boolean {
  return node.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.name === name
}

export function isMember(node: AnyNode, name: string): boolean {
  return (
    node.type === 'MemberExpression' &&
    !node.computed &&
    node.property.type === 'Identifier' &&
    node.property.name === name
  )
}

/** The name that a chain of members and calls starts with. */
export function rootName(node: AnyNode): string | undefined {
  if (node.type === 'Identifier') return node.name
  if (node.type === 'MemberExpression') return rootName(node.object)
  if (node.type === 'CallExpression') return rootName(node.callee)
  return undefined
}
