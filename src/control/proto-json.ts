import { HeraldError } from '../errors/herald-error.ts'

/**
 * ProtoJSON (protobuf.dev "ProtoJSON Format") for the messages of the host protocol: decoders that refuse unknown fields and wrong types,
 * naming the field, and encoders that leave defaults out, as both upstream ends do.
 */
export type Codec<T> = {
  /** `value` is never undefined. @throws ERR_CONTROL_MESSAGE_INVALID */
  decode(value: unknown, path: string): T
  /** `undefined` when the value is the default and stays out. */
  encode(value: T): unknown
  readonly default: T
}

export type Decoded<C> = C extends Codec<infer T> ? T : never

/** @throws ERR_CONTROL_MESSAGE_INVALID, naming the field */
export function parseMessage<T>(codec: Codec<T>, payload: Uint8Array): T {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    throw invalid('', 'the message is not JSON in UTF-8')
  }
  return codec.decode(value, '')
}

export function formatMessage<T>(codec: Codec<T>, message: T): Uint8Array {
  return Buffer.from(JSON.stringify(codec.encode(message) ?? {}))
}

export function invalid(path: string, why: string): HeraldError {
  return new HeraldError('ERR_CONTROL_MESSAGE_INVALID', path === '' ? why : `${path}: ${why}`, {
    hint: 'both ends must speak wasmCloud’s host protocol, wasmcloud.runtime.v2, in ProtoJSON',
  })
}

export const text: Codec<string> = {
  default: '',
  decode: (value, path) => {
    if (typeof value !== 'string') throw invalid(path, `expected a string, found ${nameOf(value)}`)
    if (!value.isWellFormed()) throw invalid(path, 'not valid Unicode')
    return value
  },
  encode: (value) => (value === '' ? undefined : value),
}

export const flag: Codec<boolean> = {
  default: false,
  decode: (value, path) => {
    if (typeof value !== 'boolean') throw invalid(path, `expected true or false, found ${nameOf(value)}`)
    return value
  },
  encode: (value) => value || undefined,
}

/** int32 and sint32: a number, or a string with one. */
export const int32: Codec<number> = {
  default: 0,
  decode: (value, path) => Number(integer(value, path, -(2n ** 31n), 2n ** 31n - 1n)),
  encode: (value) => (value === 0 ? undefined : value),
}

export const uint32: Codec<number> = {
  default: 0,
  decode: (value, path) => Number(integer(value, path, 0n, 2n ** 32n - 1n)),
  encode: (value) => (value === 0 ? undefined : value),
}

/** Written as a string; a number is accepted, as ProtoJSON has it. */
export const uint64: Codec<bigint> = {
  default: 0n,
  decode: (value, path) => integer(value, path, 0n, 2n ** 64n - 1n),
  encode: (value) => (value === 0n ? undefined : String(value)),
}

export const float: Codec<number> = {
  default: 0,
  decode: (value, path) => {
    const number = typeof value === 'string' && /^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isFinite(number))
      throw invalid(path, `expected a number, found ${nameOf(value)}`)
    return number
  },
  encode: (value) => (value === 0 ? undefined : value),
}

/** google.protobuf.Timestamp: RFC 3339 in UTC. */
export const timestamp: Codec<Date | undefined> = {
  default: undefined,
  decode: (value, path) => {
    const ok = typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(value)
    const date = new Date(ok ? value.replace(/(\.\d{3})\d+/, '$1') : Number.NaN)
    if (Number.isNaN(date.getTime())) throw invalid(path, 'expected a time as RFC 3339 writes it')
    return date
  },
  encode: (value) => value?.toISOString(),
}

/** Values by name; the number is accepted too. The first one is the default. */
export function enumeration<const T extends string>(names: readonly [T, ...T[]]): Codec<T> {
  return {
    default: names[0],
    decode: (value, path) => {
      const found = typeof value === 'number' ? names[value] : names.find((name) => name === value)
      if (found === undefined) throw invalid(path, `expected one of ${names.join(', ')}`)
      return found
    },
    encode: (value) => (value === names[0] ? undefined : value),
  }
}

export function repeated<T>(item: Codec<T>, maxItems = 1_000): Codec<readonly T[]> {
  return {
    default: [],
    decode: (value, path) => {
      if (!Array.isArray(value)) throw invalid(path, `expected a list, found ${nameOf(value)}`)
      if (value.length > maxItems) throw invalid(path, `more than ${maxItems} entries`)
      return value.map((each, index) => item.decode(each, `${path}[${index}]`))
    },
    // An entry that is all defaults is still an entry.
    encode: (value) => (value.length === 0 ? undefined : value.map((each) => item.encode(each) ?? emptyOf(item))),
  }
}

export const textMap: Codec<Readonly<Record<string, string>>> = {
  default: {},
  decode: (value, path) => {
    const entries = Object.entries(object(value, path))
    // fromEntries defines own properties, so that a key such as __proto__ stays a key.
    return Object.fromEntries(
      entries.map(([key, each]) => [
        text.decode(key, `${path} key`),
        text.decode(each, `${path}[${JSON.stringify(key.slice(0, 100))}]`),
      ]),
    )
  },
  encode: (value) => (Object.keys(value).length === 0 ? undefined : value),
}

// biome-ignore lint/suspicious/noExplicitAny: a codec is invariant in its type; only `any` lets a record hold different ones
type AnyCodec = Codec<any>

/** Fields by their JSON name; their original names with `_` are accepted too, as ProtoJSON demands of parsers. */
export function message<F extends Record<string, AnyCodec>>(
  fields: F,
): Codec<{ readonly [K in keyof F]: Decoded<F[K]> }> {
  type Value = { readonly [K in keyof F]: Decoded<F[K]> }
  const byName = new Map(
    Object.keys(fields).flatMap((name) => [[name, name] as const, [toProtoName(name), name] as const]),
  )
  const decode = (value: unknown, path: string): Value => {
    const result: Record<string, unknown> = {}
    for (const [key, each] of Object.entries(object(value, path))) {
      const at = path === '' ? key.slice(0, 100) : `${path}.${key.slice(0, 100)}`
      const name = byName.get(key)
      if (name === undefined) throw invalid(at, 'unknown field')
      if (Object.hasOwn(result, name)) throw invalid(at, 'given twice')
      const codec = fields[name] as AnyCodec
      result[name] = each === null ? codec.default : codec.decode(each, at)
    }
    for (const [name, codec] of Object.entries(fields)) {
      if (!Object.hasOwn(result, name)) result[name] = codec.default
    }
    return result as Value
  }
  return {
    get default() {
      return decode({}, '')
    },
    decode,
    encode: (value) =>
      Object.fromEntries(
        Object.entries(fields).flatMap(([name, codec]) => {
          const encoded = codec.encode(value[name])
          return encoded === undefined ? [] : [[name, encoded]]
        }),
      ),
  }
}

/** A message field knows the difference between absent and empty. */
export function optional<T>(inner: Codec<T>): Codec<T | undefined> {
  return {
    default: undefined,
    decode: (value, path) => inner.decode(value, path),
    encode: (value) => (value === undefined ? undefined : inner.encode(value)),
  }
}

function integer(value: unknown, path: string, least: bigint, most: bigint): bigint {
  const spelled = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
  if (typeof spelled !== 'string' || !/^-?(0|[1-9]\d{0,19})$/.test(spelled))
    throw invalid(path, `expected a whole number, found ${nameOf(value)}`)
  const number = BigInt(spelled)
  if (number < least || number > most) throw invalid(path, `not between ${least} and ${most}`)
  return number
}

function object(value: unknown, path: string): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(path, `expected an object, found ${nameOf(value)}`)
  return value
}

function emptyOf(codec: AnyCodec): unknown {
  return typeof codec.default === 'string' ? '' : typeof codec.default === 'bigint' ? '0' : codec.default
}

function toProtoName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function nameOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}
