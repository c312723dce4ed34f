import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeValues, encodeValues, WitValueError } from '../../src/wit/value-bytes.ts'
import { valueFromJson, valueToJson } from '../../src/wit/value-json.ts'
import { describeType, jsName, sameType, unsupportedIn, type WitType, WitTypes } from '../../src/wit/wit-type.ts'

const u8: WitType = { kind: 'u8' }
const u32: WitType = { kind: 'u32' }
const string: WitType = { kind: 'string' }
const option = (some: WitType): WitType => ({ kind: 'option', some })
const list = (element: WitType): WitType => ({ kind: 'list', element })
const shape: WitType = {
  kind: 'variant',
  cases: [
    { name: 'none', type: undefined },
    { name: 'circle', type: { kind: 'f64' } },
    { name: 'named-one', type: string },
  ],
}
const rights: WitType = { kind: 'flags', names: ['can-read', 'can-write', 'x'] }
const person: WitType = {
  kind: 'record',
  fields: [
    { name: 'full-name', type: string },
    { name: 'age', type: option(u8) },
  ],
}
const outcome: WitType = { kind: 'result', ok: u32, err: string }

/** Type, JSON, value in jco's mapping, bytes in hex as the component model's Binary.md has them. */
const values: readonly [WitType, unknown, unknown, string][] = [
  [{ kind: 'bool' }, true, true, '01'],
  [u8, 255, 255, 'ff'],
  [{ kind: 's8' }, -1, -1, 'ff'],
  [{ kind: 'u16' }, 300, 300, 'ac02'],
  [{ kind: 's16' }, -300, -300, 'd47d'],
  [u32, 4_294_967_295, 4_294_967_295, 'ffffffff0f'],
  [{ kind: 's32' }, -2_147_483_648, -2_147_483_648, '8080808078'],
  [{ kind: 's64' }, -64, -64n, '40'],
  [{ kind: 's64' }, 64, 64n, 'c000'],
  [{ kind: 'u64' }, '18446744073709551615', 18446744073709551615n, 'ffffffffffffffffff01'],
  [{ kind: 'f32' }, 1.5, 1.5, '0000c03f'],
  [{ kind: 'f64' }, '-Infinity', Number.NEGATIVE_INFINITY, '000000000000f0ff'],
  [{ kind: 'char' }, '😀', '😀', 'f09f9880'],
  [string, 'hé', 'hé', '0368c3a9'],
  [string, '', '', '00'],
  [list(u8), { base64: 'AQID' }, Uint8Array.of(1, 2, 3), '03010203'],
  [list(u32), [1, 300], Uint32Array.of(1, 300), '0201ac02'],
  [list(string), ['a', ''], ['a', ''], '02016100'],
  [person, { 'full-name': 'Al', age: null }, { fullName: 'Al', age: undefined }, '02416c00'],
  [person, { 'full-name': 'Al', age: 7 }, { fullName: 'Al', age: 7 }, '02416c0107'],
  [{ kind: 'tuple', items: [u8, string] }, [1, 'a'], [1, 'a'], '010161'],
  [shape, 'none', { tag: 'none' }, '00'],
  [shape, { 'named-one': 'x' }, { tag: 'named-one', val: 'x' }, '020178'],
  [{ kind: 'enum', names: ['red', 'dark-green'] }, 'dark-green', 'dark-green', '01'],
  [rights, ['can-write', 'x'], { canRead: false, canWrite: true, x: true }, '06'],
  [option(string), null, undefined, '00'],
  [option(string), 'a', 'a', '010161'],
  [option(option(u8)), null, { tag: 'none' }, '00'],
  [option(option(u8)), { some: null }, { tag: 'some', val: undefined }, '0100'],
  [option(option(u8)), { some: 3 }, { tag: 'some', val: 3 }, '010103'],
  [option(option(option(u8))), null, undefined, '00'],
  [option(option(option(u8))), { some: null }, { tag: 'none' }, '0100'],
  [option(option(option(u8))), { some: { some: null } }, { tag: 'some', val: undefined }, '010100'],
  [outcome, { ok: 5 }, { tag: 'ok', val: 5 }, '0005'],
  [outcome, { err: 'no' }, { tag: 'err', val: 'no' }, '01026e6f'],
  [{ kind: 'result', ok: undefined, err: undefined }, { ok: null }, { tag: 'ok', val: undefined }, '00'],
]

for (const [type, json, value, hex] of values) {
  test(`${describeType(type)}: ${JSON.stringify(json)} is ${hex} on the wire, and comes back`, () => {
    const fromJson = valueFromJson(type, json, 'it')
    const bytes = encodeValues([type], [fromJson])
    assert.equal(Buffer.from(bytes).toString('hex'), hex)
    const [back] = decodeValues([type], bytes)
    if (!(back instanceof Object && 'length' in back)) assert.deepEqual(fromJson, value)
    assert.deepEqual(back, value)
    assert.deepEqual(valueToJson(type, back), json)
  })
}

const wrong: readonly [WitType, unknown, RegExp][] = [
  [u8, 256, /^it: expected is a whole number from 0 to 255/],
  [u8, '1', /whole number/],
  [{ kind: 's64' }, 2 ** 60, /as a string/],
  [{ kind: 'u64' }, '-1', /whole number/],
  [{ kind: 'char' }, 'ab', /one character/],
  [string, '\ud800', /a string/],
  [person, { 'full-name': 'a', agee: 1 }, /^it: there is no field "agee"; the fields are full-name, age/],
  [person, { age: 1 }, /^it: the field full-name is missing/],
  [person, { 'full-name': 3 }, /^it\.full-name: expected is a string/],
  [shape, 'circle', /one of "none", \{"circle": …\}/],
  [shape, { none: 1 }, /one of/],
  [shape, 'toString', /one of/],
  [rights, ['can-fly'], /can-read, can-write, x/],
  [list(u8), { base64: '!!' }, /base64/],
  [list(u32), [1, -1], /^it\[1\]: /],
  [outcome, { ok: 1, err: 'a' }, /one key/],
  [{ kind: 'tuple', items: [u8] }, [1, 2], /a list of 1/],
]

for (const [type, json, message] of wrong) {
  test(`${JSON.stringify(json)} is no ${describeType(type)}, and the message says where and why`, () => {
    assert.throws(
      () => valueFromJson(type, json, 'it'),
      (error: Error) => error instanceof WitValueError && message.test(error.message),
    )
  })
}

const malformed: readonly [string, WitType, string][] = [
  ['a bool that is neither', { kind: 'bool' }, '02'],
  ['an end within a value', string, '0561'],
  ['bytes behind the value', u8, '0101'],
  ['a list that claims four billion elements', list(list(u8)), 'ffffffff0f'],
  ['an integer of too many bytes', u32, 'ffffffffffff'],
  ['a u16 above its range', { kind: 'u16' }, 'ffff7f'],
  ['a text that is not UTF-8', string, '01ff'],
  ['a surrogate as char', { kind: 'char' }, 'eda080'],
  ['an unknown case', shape, '03'],
  ['extraneous flags', rights, '08'],
  ['a result that is neither', outcome, '0205'],
]

for (const [what, type, hex] of malformed) {
  test(`${what} is refused`, () => {
    assert.throws(() => decodeValues([type], Buffer.from(hex, 'hex')), WitValueError)
  })
}

test('bytes at random are a value or a WitValueError, and nothing else', () => {
  const all: WitType = { kind: 'tuple', items: values.map(([type]) => type) }
  let seed = 7
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff
    return seed >> 16
  }
  for (let round = 0; round < 2_000; round++) {
    const bytes = Uint8Array.from({ length: random() % 64 }, () => random() & 0xff)
    try {
      decodeValues([list(all)], bytes)
    } catch (error) {
      assert.ok(error instanceof WitValueError, String(error))
    }
  }
})

test('a value that a guest cannot have made is refused when it is written', () => {
  for (const [type, value] of [
    [u8, 300],
    [u8, 1.5],
    [{ kind: 'u64' }, -1n],
    [shape, { tag: 'x' }],
    [outcome, null],
  ] as const) {
    assert.throws(() => encodeValues([type], [value]), WitValueError)
  }
})

test('types are the same when their structure and their names are', () => {
  const other: WitType = {
    kind: 'record',
    fields: [
      { name: 'full-name', type: string },
      { name: 'age', type: option({ kind: 's8' }) },
    ],
  }
  assert.ok(sameType(list(person), list(structuredClone(person))))
  assert.ok(!sameType(person, other))
  assert.ok(!sameType(outcome, { kind: 'result', ok: u32, err: undefined }))
  assert.ok(!sameType(rights, { kind: 'flags', names: ['can-read', 'can-write'] }))
  assert.ok(!sameType({ kind: 'unsupported', what: 'a resource' }, { kind: 'unsupported', what: 'a resource' }))
})

test('a type that doubles at each level is given up before anybody walks it', () => {
  const types = new WitTypes()
  let type: WitType = types.make({ kind: 'u8' })
  for (let level = 0; level < 20; level++) type = types.make({ kind: 'tuple', items: [type, type] })
  const found = unsupportedIn({ name: 'f', params: [{ name: 'a', type }], result: undefined, isAsync: false })
  assert.match(found ?? '', /too deeply or too large/)
})

test('names become JavaScript’s as jco has them', () => {
  assert.deepEqual(['get', 'get-balance', 'get-HTTP-url', 'x'].map(jsName), ['get', 'getBalance', 'getHttpUrl', 'x'])
})
