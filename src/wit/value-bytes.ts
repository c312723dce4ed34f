import { isNullable, jsName, type WitType } from './wit-type.ts'

/** A value that is not of its type, or bytes that are not a value of it. The message names the place and contains no part of the value. */
export class WitValueError extends Error {
  override readonly name = 'WitValueError'
}

/**
 * The value encoding of the component model (Binary.md, "Value Definitions"): integers as LEB128, text and lists behind their length. Values
 * are as jco maps them to JavaScript. Nothing in the bytes says which type they are of: both ends know it.
 * @throws WitValueError
 */
export function encodeValues(types: readonly WitType[], values: readonly unknown[]): Uint8Array {
  const writer = new ValueWriter()
  for (const [index, type] of types.entries()) write(writer, type, values[index])
  return writer.bytes()
}

/** Reads what {@link encodeValues} wrote, to the last byte. @throws WitValueError */
export function decodeValues(types: readonly WitType[], bytes: Uint8Array): unknown[] {
  const reader = new ValueReader(bytes)
  const values = types.map((type) => read(reader, type))
  if (!reader.atEnd) throw new WitValueError('there are bytes behind the last value')
  return values
}

const integers = {
  u8: [0, 0xff],
  s8: [-0x80, 0x7f],
  u16: [0, 0xffff],
  s16: [-0x8000, 0x7fff],
  u32: [0, 0xffff_ffff],
  s32: [-0x8000_0000, 0x7fff_ffff],
} as const
type SmallInteger = keyof typeof integers

/** The typed arrays that jco makes of lists of numbers. */
const arrays = {
  u8: Uint8Array,
  s8: Int8Array,
  u16: Uint16Array,
  s16: Int16Array,
  u32: Uint32Array,
  s32: Int32Array,
  u64: BigUint64Array,
  s64: BigInt64Array,
  f32: Float32Array,
  f64: Float64Array,
} as const

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

class ValueWriter {
  #bytes = new Uint8Array(256)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #room(count: number): number {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    return at
  }

  byte(value: number): void {
    const at = this.#room(1)
    this.#bytes[at] = value
  }

  unsigned(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80)
      rest = Math.floor(rest / 128)
    }
    this.byte(rest)
  }

  /** LEB128 of up to 64 bits; signed ones end with a byte whose second-highest bit is the sign. */
  big(value: bigint, signed: boolean): void {
    let rest = value
    for (;;) {
      const low = Number(rest & 0x7fn)
      rest >>= 7n
      const done = signed ? (rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40) : rest === 0n
      this.byte(done ? low : low | 0x80)
      if (done) return
    }
  }

  float(value: number, size: 4 | 8): void {
    const at = this.#room(size)
    if (size === 4) this.#view.setFloat32(at, value, true)
    else this.#view.setFloat64(at, value, true)
  }

  text(value: string): void {
    this.bulk(encoder.encode(value))
  }

  /** Bytes behind their length. */
  bulk(value: Uint8Array): void {
    this.unsigned(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    const at = this.#room(value.length)
    this.#bytes.set(value, at)
  }
}

class ValueReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    const value = this.#bytes[this.#at]
    if (value === undefined) throw new WitValueError('the bytes end within a value')
    this.#at += 1
    return value
  }

  unsigned(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break
        return value
      }
    }
    throw new WitValueError('an integer is too large')
  }

  /** How many elements follow. Each takes at least a byte: more than there are bytes is a lie. */
  count(): number {
    const value = this.unsigned()
    if (value > this.#bytes.length - this.#at) throw new WitValueError('a list is longer than its bytes')
    return value
  }

  big(signed: boolean): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte >= 0x80) continue
      return signed && (byte & 0x40) !== 0 ? value - (1n << (shift + 7n)) : value
    }
    throw new WitValueError('an integer is too large')
  }

  float(size: 4 | 8): number {
    const at = this.#at
    this.raw(size)
    return size === 4 ? this.#view.getFloat32(at, true) : this.#view.getFloat64(at, true)
  }

  /** A view. */
  raw(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new WitValueError('the bytes end within a value')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  text(length: number): string {
    try {
      return decoder.decode(this.raw(length))
    } catch (error) {
      throw error instanceof WitValueError ? error : new WitValueError('a text is not UTF-8')
    }
  }
}

function write(writer: ValueWriter, type: WitType, value: unknown): void {
  switch (type.kind) {
    case 'bool':
      if (typeof value !== 'boolean') throw not('a bool')
      writer.byte(value ? 1 : 0)
      return
    case 'u8':
    case 's8':
    case 'u16':
    case 's16':
    case 'u32':
    case 's32':
      writeInteger(writer, type.kind, value)
      return
    case 'u64':
    case 's64': {
      const signed = type.kind === 's64'
      const fits =
        typeof value === 'bigint' && (signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) === value
      if (!fits) throw not(`an ${type.kind}`)
      writer.big(value, signed)
      return
    }
    case 'f32':
    case 'f64':
      if (typeof value !== 'number') throw not(`an ${type.kind}`)
      writer.float(value, type.kind === 'f32' ? 4 : 8)
      return
    case 'char': {
      if (typeof value !== 'string' || !isChar(value)) throw not('a char')
      writer.raw(encoder.encode(value))
      return
    }
    case 'string':
      if (typeof value !== 'string') throw not('a string')
      writer.text(value)
      return
    case 'list':
      writeList(writer, type.element, value)
      return
    case 'record': {
      const record = objectOf(value)
      for (const field of type.fields) write(writer, field.type, record[jsName(field.name)])
      return
    }
    case 'tuple': {
      if (!Array.isArray(value) || value.length !== type.items.length) throw not(`a tuple of ${type.items.length}`)
      for (const [index, item] of type.items.entries()) write(writer, item, value[index])
      return
    }
    case 'variant': {
      const { tag, val } = objectOf(value)
      const index = type.cases.findIndex(({ name }) => name === tag)
      if (index < 0) throw not('a case of its variant')
      writer.unsigned(index)
      const payload = type.cases[index]!.type
      if (payload !== undefined) write(writer, payload, val)
      return
    }
    case 'enum': {
      const index = type.names.indexOf(value as string)
      if (index < 0) throw not('a case of its enum')
      writer.unsigned(index)
      return
    }
    case 'flags': {
      const flags = objectOf(value ?? {})
      const bytes = new Uint8Array(Math.ceil(type.names.length / 8))
      for (const [index, name] of type.names.entries())
        if (flags[jsName(name)] === true) bytes[index >> 3]! |= 1 << (index & 7)
      writer.raw(bytes)
      return
    }
    case 'option': {
      if (isNullable(type)) {
        writer.byte(value === undefined || value === null ? 0 : 1)
        if (value !== undefined && value !== null) write(writer, type.some, value)
        return
      }
      const { tag, val } = objectOf(value)
      if (tag !== 'some' && tag !== 'none') throw not('an option')
      writer.byte(tag === 'some' ? 1 : 0)
      if (tag === 'some') write(writer, type.some, val)
      return
    }
    case 'result': {
      const { tag, val } = objectOf(value)
      if (tag !== 'ok' && tag !== 'err') throw not('a result')
      writer.byte(tag === 'ok' ? 0 : 1)
      const payload = tag === 'ok' ? type.ok : type.err
      if (payload !== undefined) write(writer, payload, val)
      return
    }
    case 'unsupported':
      throw new WitValueError(`${type.what} cannot be handed over`)
  }
}

function writeInteger(writer: ValueWriter, kind: SmallInteger, value: unknown): void {
  const [min, max] = integers[kind]
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) throw not(`an ${kind}`)
  if (kind === 'u8' || kind === 's8') writer.byte(value & 0xff)
  else if (min === 0) writer.unsigned(value)
  else writer.big(BigInt(value), true)
}

function writeList(writer: ValueWriter, element: WitType, value: unknown): void {
  if (element.kind === 'u8' && value instanceof Uint8Array) {
    writer.bulk(value)
    return
  }
  if (!Array.isArray(value) && !(ArrayBuffer.isView(value) && 'length' in value)) throw not('a list')
  const list = value as ArrayLike<unknown>
  writer.unsigned(list.length)
  for (let index = 0; index < list.length; index++) write(writer, element, list[index])
}

function read(reader: ValueReader, type: WitType): unknown {
  switch (type.kind) {
    case 'bool':
      return flag(reader)
    case 'u8':
      return reader.byte()
    case 's8':
      return (reader.byte() << 24) >> 24
    case 'u16':
    case 'u32':
      return within(type.kind, reader.unsigned())
    case 's16':
    case 's32':
      return within(type.kind, Number(reader.big(true)))
    case 'u64':
    case 's64': {
      const value = reader.big(type.kind === 's64')
      if ((type.kind === 's64' ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) !== value)
        throw new WitValueError('an integer is too large')
      return value
    }
    case 'f32':
    case 'f64':
      return reader.float(type.kind === 'f32' ? 4 : 8)
    case 'char':
      return readChar(reader)
    case 'string':
      return reader.text(reader.count())
    case 'list':
      return readList(reader, type.element)
    case 'record':
      return Object.fromEntries(type.fields.map((field) => [jsName(field.name), read(reader, field.type)]))
    case 'tuple':
      return type.items.map((item) => read(reader, item))
    case 'variant': {
      const found = type.cases[reader.unsigned()]
      if (found === undefined) throw new WitValueError('a variant has no such case')
      return found.type === undefined ? { tag: found.name } : { tag: found.name, val: read(reader, found.type) }
    }
    case 'enum': {
      const found = type.names[reader.unsigned()]
      if (found === undefined) throw new WitValueError('an enum has no such case')
      return found
    }
    case 'flags': {
      const bytes = reader.raw(Math.ceil(type.names.length / 8))
      const extra = type.names.length % 8
      if (extra !== 0 && (bytes.at(-1) ?? 0) >> extra !== 0) throw new WitValueError('flags have extraneous bits')
      return Object.fromEntries(
        type.names.map((name, index) => [jsName(name), (bytes[index >> 3]! & (1 << (index & 7))) !== 0]),
      )
    }
    case 'option': {
      const some = flag(reader)
      if (isNullable(type)) return some ? read(reader, type.some) : undefined
      return some ? { tag: 'some', val: read(reader, type.some) } : { tag: 'none' }
    }
    case 'result': {
      const tag = flag(reader) ? 'err' : 'ok'
      const payload = tag === 'ok' ? type.ok : type.err
      return { tag, val: payload === undefined ? undefined : read(reader, payload) }
    }
    case 'unsupported':
      throw new WitValueError(`${type.what} cannot be handed over`)
  }
}

function readList(reader: ValueReader, element: WitType): unknown {
  const count = reader.count()
  if (element.kind === 'u8') return reader.raw(count).slice()
  const Numbers = arrays[element.kind as keyof typeof arrays] as typeof Float64Array | undefined
  const values = Array.from({ length: count }, () => read(reader, element))
  return Numbers === undefined ? values : Numbers.from(values as number[])
}

function readChar(reader: ValueReader): string {
  const first = reader.byte()
  const more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
  const rest = reader.raw(more)
  try {
    const char = decoder.decode(Uint8Array.of(first, ...rest))
    if (isChar(char)) return char
  } catch {
    // Said below.
  }
  throw new WitValueError('a char is not UTF-8')
}

/** One Unicode scalar value. */
export function isChar(text: string): boolean {
  return text.isWellFormed() && text.length > 0 && String.fromCodePoint(text.codePointAt(0)!) === text
}

function flag(reader: ValueReader): boolean {
  const value = reader.byte()
  if (value > 1) throw new WitValueError('a byte that is to be 0 or 1 is neither')
  return value === 1
}

function within(kind: SmallInteger, value: number): number {
  const [min, max] = integers[kind]
  if (value < min || value > max) throw new WitValueError('an integer is too large')
  return value
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw not('an object')
  return value as Record<string, unknown>
}

function not(what: string): WitValueError {
  return new WitValueError(`a value is not ${what}`)
}
