/** A type of the component model, as a component's own bytes describe it. Types that contain one type many times share it. */
export type WitType =
  | { readonly kind: WitPrimitive }
  | { readonly kind: 'list'; readonly element: WitType }
  | { readonly kind: 'record'; readonly fields: readonly WitField[] }
  | { readonly kind: 'tuple'; readonly items: readonly WitType[] }
  | { readonly kind: 'variant'; readonly cases: readonly WitCase[] }
  | { readonly kind: 'enum' | 'flags'; readonly names: readonly string[] }
  | { readonly kind: 'option'; readonly some: WitType }
  | { readonly kind: 'result'; readonly ok: WitType | undefined; readonly err: WitType | undefined }
  /** Cannot be handed from one component to another; `what` says why: `a resource`. */
  | { readonly kind: 'unsupported'; readonly what: string }

export type WitPrimitive = (typeof witPrimitives)[number]
/** In the order of their codes in the binary format, from 0x7f downwards. */
export const witPrimitives = [
  ...(['bool', 's8', 'u8', 's16', 'u16', 's32', 'u32', 's64', 'u64'] as const),
  ...(['f32', 'f64', 'char', 'string'] as const),
] as const

/** Names are in kebab case, as in WIT. */
export type WitField = { readonly name: string; readonly type: WitType }
export type WitCase = { readonly name: string; readonly type: WitType | undefined }

export type WitFunction = {
  readonly name: string
  readonly params: readonly WitField[]
  readonly result: WitType | undefined
  /** An `async func` of the component model. */
  readonly isAsync: boolean
}

/** Deeper or larger types, every use counted, are `unsupported`: whatever walks a type may recurse. */
const maxDepth = 48
const maxSize = 4096

/** Makes types, and holds them to the limits. */
export class WitTypes {
  readonly #measures = new WeakMap<WitType, { readonly depth: number; readonly size: number }>()

  make(type: WitType): WitType {
    let depth = 0
    let size = 1
    for (const part of partsOf(type)) {
      const measure = this.#measures.get(part) ?? { depth: 1, size: 1 }
      depth = Math.max(depth, measure.depth)
      size += measure.size
    }
    if (depth >= maxDepth || size > maxSize)
      return { kind: 'unsupported', what: 'a type that is nested too deeply or too large' }
    this.#measures.set(type, { depth: depth + 1, size })
    return type
  }
}

export function partsOf(type: WitType): readonly WitType[] {
  switch (type.kind) {
    case 'list':
      return [type.element]
    case 'record':
      return type.fields.map((field) => field.type)
    case 'tuple':
      return type.items
    case 'variant':
      return type.cases.flatMap((each) => each.type ?? [])
    case 'option':
      return [type.some]
    case 'result':
      return [type.ok, type.err].flatMap((each) => each ?? [])
    default:
      return []
  }
}

/** What of a function keeps it from being called by another component; `undefined` when nothing does. */
export function unsupportedIn({ params, result, isAsync }: WitFunction): string | undefined {
  if (isAsync) return 'an async function'
  const seen = new Set<WitType>()
  const find = (type: WitType): string | undefined => {
    if (seen.has(type)) return undefined
    seen.add(type)
    if (type.kind === 'unsupported') return type.what
    for (const part of partsOf(type)) {
      const found = find(part)
      if (found !== undefined) return found
    }
    return undefined
  }
  for (const type of [...params.map((param) => param.type), ...(result === undefined ? [] : [result])]) {
    const found = find(type)
    if (found !== undefined) return found
  }
  return undefined
}

/** A function as WIT would have it, without its name: `(account: string) -> result<u64, enum { … }>`. At most about 300 characters. */
export function describeSignature({ params, result }: Omit<WitFunction, 'name'>): string {
  const takes = params.map(({ name, type }) => `${name}: ${describeType(type, 3)}`).join(', ')
  const text = `(${takes})${result === undefined ? '' : ` -> ${describeType(result, 3)}`}`
  return text.length > 300 ? `${text.slice(0, 299)}…` : text
}

/** @param depth how many levels of named parts are spelled out */
export function describeType(type: WitType, depth = 2): string {
  const part = (each: WitType | undefined): string =>
    each === undefined ? '_' : depth <= 0 ? '…' : describeType(each, depth - 1)
  switch (type.kind) {
    case 'list':
    case 'option':
      return `${type.kind}<${part(type.kind === 'list' ? type.element : type.some)}>`
    case 'tuple':
      return `tuple<${type.items.map(part).join(', ')}>`
    case 'record':
      return `record { ${type.fields.map((field) => `${field.name}: ${part(field.type)}`).join(', ')} }`
    case 'variant':
      return `variant { ${type.cases.map((each) => (each.type === undefined ? each.name : `${each.name}(${part(each.type)})`)).join(', ')} }`
    case 'enum':
    case 'flags':
      return `${type.kind} { ${type.names.join(', ')} }`
    case 'result':
      if (type.ok === undefined && type.err === undefined) return 'result'
      return type.err === undefined ? `result<${part(type.ok)}>` : `result<${part(type.ok)}, ${part(type.err)}>`
    case 'unsupported':
      return `<${type.what}>`
    default:
      return type.kind
  }
}

/** Whether two types are one and the same: equal structure, equal names in equal order. The component model has no other compatibility. */
export function sameType(one: WitType | undefined, other: WitType | undefined): boolean {
  if (one === undefined || other === undefined) return one === other
  if (one === other) return true
  if (one.kind !== other.kind || one.kind === 'unsupported') return false
  if (!sameNames(namesOf(one), namesOf(other))) return false
  if (one.kind === 'variant' && other.kind === 'variant') {
    return one.cases.every((each, index) => sameType(each.type, other.cases[index]?.type))
  }
  if (one.kind === 'result' && other.kind === 'result')
    return sameType(one.ok, other.ok) && sameType(one.err, other.err)
  const parts = partsOf(other)
  const own = partsOf(one)
  return own.length === parts.length && own.every((part, index) => sameType(part, parts[index]))
}

export function sameFunction(one: WitFunction, other: WitFunction): boolean {
  return (
    one.name === other.name &&
    one.isAsync === other.isAsync &&
    one.params.length === other.params.length &&
    one.params.every(
      ({ name, type }, at) => name === other.params[at]?.name && sameType(type, other.params[at]?.type),
    ) &&
    sameType(one.result, other.result)
  )
}

function namesOf(type: WitType): readonly string[] {
  if (type.kind === 'record') return type.fields.map(({ name }) => name)
  if (type.kind === 'variant') return type.cases.map(({ name }) => name)
  return type.kind === 'enum' || type.kind === 'flags' ? type.names : []
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, index) => name === other[index])
}

/** `get-balance` → `getBalance`: how jco names functions, fields and flags in JavaScript. */
export function jsName(name: string): string {
  return name
    .split('-')
    .map((word, index) =>
      index === 0 ? word.toLowerCase() : word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase(),
    )
    .join('')
}

/** Whether jco writes a value of this type as itself or `undefined`: an option, unless what it may hold is written so too. */
export function isNullable(type: WitType): boolean {
  return type.kind === 'option' && !isNullable(type.some)
}
