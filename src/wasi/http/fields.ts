import { isFieldValue, isForbiddenField, isToken, parseContentLength } from './field-rules.ts'
import { latin1 } from './latin1.ts'

export type HeaderPair = readonly [name: string, value: string]

type HeaderError = { readonly tag: 'invalid-syntax' | 'forbidden' | 'immutable' }
const invalidSyntax: HeaderError = { tag: 'invalid-syntax' }
const forbidden: HeaderError = { tag: 'forbidden' }
const immutable: HeaderError = { tag: 'immutable' }

/** Bounds of one `fields`; going beyond is a trap, since `header-error` has no case for it. */
const maxFields = 1_000
const maxFieldsBytes = 128 * 1024

/**
 * `wasi:http/types#fields`. Keeps values as latin-1 strings, the form in which node:http takes and gives them, and turns them into
 * bytes only when the guest looks. Names keep their case; comparisons ignore it.
 */
export class Fields {
  #pairs: HeaderPair[]
  #mutable: boolean
  #bytes = 0

  constructor() {
    this.#pairs = []
    this.#mutable = true
  }

  /** Immutable, over pairs that the host vouches for; fields of the connection are left out. */
  static received(pairs: readonly HeaderPair[]): Fields {
    const fields = new Fields()
    fields.#pairs = pairs.filter(([name]) => !isForbiddenField(name.toLowerCase()))
    fields.#mutable = false
    return fields
  }

  static fromList(entries: readonly (readonly [string, Uint8Array])[]): Fields {
    const fields = new Fields()
    for (const [name, value] of entries) fields.append(name, value)
    return fields
  }

  get(name: string): Uint8Array[] {
    const found: Uint8Array[] = []
    for (const pair of this.#pairs) if (sameName(pair[0], name)) found.push(Buffer.from(pair[1], 'latin1'))
    return found
  }

  has(name: string): boolean {
    return this.#pairs.some((pair) => sameName(pair[0], name))
  }

  set(name: string, values: readonly Uint8Array[]): void {
    this.#checkChange(name)
    for (const value of values) if (!isFieldValue(value)) throw invalidSyntax
    this.#remove(name)
    for (const value of values) this.#add(name, value)
  }

  delete(name: string): void {
    this.#checkChange(name)
    this.#remove(name)
  }

  append(name: string, value: Uint8Array): void {
    this.#checkChange(name)
    if (!isFieldValue(value)) throw invalidSyntax
    this.#add(name, value)
  }

  entries(): [string, Uint8Array][] {
    return this.#pairs.map(([name, value]) => [name, Buffer.from(value, 'latin1')])
  }

  clone(): Fields {
    const copy = new Fields()
    copy.#pairs = this.#pairs.slice()
    for (const [name, value] of copy.#pairs) copy.#bytes += name.length + value.length
    return copy
  }

  /** Shares what this one holds, which from now on nobody can change. */
  freeze(): Fields {
    this.#mutable = false
    return this
  }

  /** The same fields for another handle, immutable. */
  view(): Fields {
    const view = new Fields()
    view.#pairs = this.#pairs
    view.#mutable = false
    return view
  }

  /** As node:http wants them. Not to be changed. */
  pairs(): readonly HeaderPair[] {
    return this.#pairs
  }

  /**
   * Content-Length: the number, `undefined` without one, `'invalid'` when it is not a number or there are several
   * (also several equal ones: nobody needs them, and they are what smuggling is made of).
   */
  contentLength(): number | undefined | 'invalid' {
    let found: string | undefined
    for (const [name, value] of this.#pairs) {
      if (!sameName(name, 'content-length')) continue
      if (found !== undefined) return 'invalid'
      found = value
    }
    return found === undefined ? undefined : (parseContentLength(found) ?? 'invalid')
  }

  #checkChange(name: string): void {
    if (!this.#mutable) throw immutable
    if (!isToken(name)) throw invalidSyntax
    if (isForbiddenField(name.toLowerCase())) throw forbidden
  }

  #remove(name: string): void {
    this.#pairs = this.#pairs.filter((pair) => {
      if (!sameName(pair[0], name)) return true
      this.#bytes -= name.length + pair[1].length
      return false
    })
  }

  #add(name: string, value: Uint8Array): void {
    this.#bytes += name.length + value.length
    if (this.#pairs.length >= maxFields || this.#bytes > maxFieldsBytes) {
      throw new Error(`wasi:http/types#fields: more than ${maxFields} fields or ${maxFieldsBytes} bytes`)
    }
    this.#pairs.push([name, latin1(value)])
  }

  [Symbol.dispose](): void {}
}

function sameName(one: string, other: string): boolean {
  return one === other || (one.length === other.length && one.toLowerCase() === other.toLowerCase())
}
