import { isChar, WitValueError } from './value-bytes.ts'
import { isNullable, jsName, type WitType } from './wit-type.ts'

/**
 * What a person writes as JSON, as a value of the type in jco's mapping. Records are objects with the names of WIT; a variant is its case's
 * name, or `{"name": payload}`; flags are a list of names; an option is `null` or the value (`{"some": …}` where that could be `null` itself);
 * a result is `{"ok": …}` or `{"err": …}`; bytes are a list of numbers or `{"base64": "…"}`; 64-bit integers may be strings.
 * @param where for the message: `amount`
 * @throws WitValueError that names the place and what is expected there
 */
export function valueFromJson(type: WitType, json: unknown, where: string): unknown {
  switch (type.kind) {
    case 'bool':
      if (typeof json !== 'boolean') throw expected(where, 'true or false')
      return json
    case 'u8':
    case 's8':
    case 'u16':
    case 's16':
    case 'u32':
    case 's32': {
      const bits = Number(type.kind.slice(1))
      const [min, max] = type.kind.startsWith('u') ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
      if (typeof json !== 'number' || !Number.isInteger(json) || json < min || json > max)
        throw expected(where, `a whole number from ${min} to ${max}`)
      return json
    }
    case 'u64':
    case 's64': {
      const value = toBigInt(json)
      const fits =
        value !== undefined && (type.kind === 's64' ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) === value
      if (!fits) throw expected(where, `a whole number of type ${type.kind}; as a string if it has more than 15 digits`)
      return value
    }
    case 'f32':
    case 'f64': {
      const special = { NaN: Number.NaN, Infinity: Number.POSITIVE_INFINITY, '-Infinity': Number.NEGATIVE_INFINITY }
      const value = typeof json === 'string' && Object.hasOwn(special, json) ? special[json as 'NaN'] : json
      if (typeof value !== 'number') throw expected(where, 'a number')
      return value
    }
    case 'char':
      if (typeof json !== 'string' || !isChar(json)) throw expected(where, 'one character')
      return json
    case 'string':
      if (typeof json !== 'string' || !json.isWellFormed()) throw expected(where, 'a string')
      return json
    case 'list':
      return listFromJson(type.element, json, where)
    case 'record': {
      const object = objectOf(json, where)
      const known = type.fields.map(({ name }) => name)
      const unknown = Object.keys(object).find((key) => !known.includes(key))
      if (unknown !== undefined)
        throw new WitValueError(`${where}: there is no field ${quoted(unknown)}; the fields are ${known.join(', ')}`)
      return Object.fromEntries(
        type.fields.map(({ name, type: fieldType }) => {
          if (!Object.hasOwn(object, name) && fieldType.kind !== 'option')
            throw new WitValueError(`${where}: the field ${name} is missing`)
          return [jsName(name), valueFromJson(fieldType, object[name] ?? null, `${where}.${name}`)]
        }),
      )
    }
    case 'tuple': {
      if (!Array.isArray(json) || json.length !== type.items.length)
        throw expected(where, `a list of ${type.items.length}`)
      return type.items.map((item, index) => valueFromJson(item, json[index], `${where}[${index}]`))
    }
    case 'variant': {
      const [name, payload] = caseOf(json, where)
      const found = type.cases.find((each) => each.name === name)
      if (found === undefined || (found.type === undefined) !== (payload === undefined)) {
        const cases = type.cases.map((each) => (each.type === undefined ? `"${each.name}"` : `{"${each.name}": …}`))
        throw expected(where, `one of ${cases.join(', ')}`)
      }
      return found.type === undefined
        ? { tag: name }
        : { tag: name, val: valueFromJson(found.type, payload, `${where}.${name}`) }
    }
    case 'enum':
      if (typeof json !== 'string' || !type.names.includes(json))
        throw expected(where, `one of ${type.names.join(', ')}`)
      return json
    case 'flags': {
      if (!Array.isArray(json) || json.some((name) => !type.names.includes(name)))
        throw expected(where, `a list of some of ${type.names.join(', ')}`)
      return Object.fromEntries(type.names.map((name) => [jsName(name), json.includes(name)]))
    }
    case 'option': {
      const nullable = isNullable(type)
      if (json === null) return nullable ? undefined : { tag: 'none' }
      let payload: unknown = json
      if (type.some.kind === 'option') {
        const [name, inner] = caseOf(json, where)
        if (name !== 'some' || inner === undefined) throw expected(where, 'null or {"some": …}')
        payload = inner
      }
      const val = valueFromJson(type.some, payload, where)
      return nullable ? val : { tag: 'some', val }
    }
    case 'result': {
      const [name, payload] = caseOf(json, where)
      if (name !== 'ok' && name !== 'err') throw expected(where, '{"ok": …} or {"err": …}')
      const payloadType = type[name]
      if (payloadType === undefined) {
        if (payload !== undefined && payload !== null) throw expected(`${where}.${name}`, 'null')
        return { tag: name, val: undefined }
      }
      return { tag: name, val: valueFromJson(payloadType, payload ?? null, `${where}.${name}`) }
    }
    case 'unsupported':
      throw new WitValueError(`${where}: ${type.what} cannot be handed over`)
  }
}

/** The JSON of a value that a component gave; see {@link valueFromJson}. 64-bit integers become strings when a number would not hold them. */
export function valueToJson(type: WitType, value: unknown): unknown {
  switch (type.kind) {
    case 'u64':
    case 's64': {
      const number = Number(value)
      return Number.isSafeInteger(number) ? number : String(value)
    }
    case 'f32':
    case 'f64':
      return Number.isFinite(value) ? value : String(value)
    case 'list':
      if (type.element.kind === 'u8') return { base64: Buffer.from(value as Uint8Array).toString('base64') }
      return Array.from(value as ArrayLike<unknown>, (each) => valueToJson(type.element, each))
    case 'record':
      return Object.fromEntries(
        type.fields.map((field) => [
          field.name,
          valueToJson(field.type, (value as Record<string, unknown>)[jsName(field.name)]),
        ]),
      )
    case 'tuple':
      return type.items.map((item, index) => valueToJson(item, (value as unknown[])[index]))
    case 'variant': {
      const { tag, val } = value as { tag: string; val: unknown }
      const payload = type.cases.find(({ name }) => name === tag)?.type
      return payload === undefined ? tag : { [tag]: valueToJson(payload, val) }
    }
    case 'flags':
      return type.names.filter((name) => (value as Record<string, boolean>)[jsName(name)])
    case 'option': {
      const some = isNullable(type) ? value : (value as { val?: unknown }).val
      const isNone = isNullable(type) ? value === undefined : (value as { tag: string }).tag === 'none'
      if (isNone) return null
      const json = valueToJson(type.some, some)
      return type.some.kind === 'option' ? { some: json } : json
    }
    case 'result': {
      const { tag, val } = value as { tag: 'ok' | 'err'; val: unknown }
      const payload = type[tag]
      return { [tag]: payload === undefined ? null : valueToJson(payload, val) }
    }
    default:
      return value
  }
}

function listFromJson(element: WitType, json: unknown, where: string): unknown {
  if (element.kind === 'u8' && typeof json === 'object' && json !== null && !Array.isArray(json)) {
    const { base64, ...rest } = json as Record<string, unknown>
    const bytes = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : undefined
    if (bytes === undefined || Object.keys(rest).length > 0 || bytes.toString('base64') !== base64)
      throw expected(where, 'a list of numbers or {"base64": "…"}')
    return new Uint8Array(bytes)
  }
  if (!Array.isArray(json)) throw expected(where, 'a list')
  const values = json.map((each, index) => valueFromJson(element, each, `${where}[${index}]`))
  return element.kind === 'u8' ? Uint8Array.from(values as number[]) : values
}

/** `"name"` or `{"name": payload}`. */
function caseOf(json: unknown, where: string): readonly [string, unknown] {
  if (typeof json === 'string') return [json, undefined]
  const [only, ...others] = Object.entries(objectOf(json, where))
  if (only === undefined || others.length > 0) throw expected(where, 'an object with one key')
  return only
}

function objectOf(json: unknown, where: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw expected(where, 'an object')
  return json as Record<string, unknown>
}

function toBigInt(json: unknown): bigint | undefined {
  if (typeof json === 'number') return Number.isSafeInteger(json) ? BigInt(json) : undefined
  return typeof json === 'string' && /^-?\d{1,20}$/.test(json) ? BigInt(json) : undefined
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 60).toWellFormed())
}

function expected(where: string, what: string): WitValueError {
  return new WitValueError(`${where}: expected is ${what}`)
}
