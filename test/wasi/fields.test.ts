import { deepStrictEqual, strictEqual, throws } from 'node:assert'
import { test } from 'node:test'
import { Fields } from '../../src/wasi/http/fields.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const shown = (fields: Fields): [string, string][] =>
  fields.entries().map(([name, value]) => [name, Buffer.from(value).toString('latin1')])

for (const name of ['', ' ', 'a b', 'a:b', 'a\r\nb', 'a\0', 'ä', 'a/b', '(x)', 'x\t', 'x"', '\u017f', 'name\u2028']) {
  test(`fields refuse the name ${JSON.stringify(name)}`, () => {
    throws(
      () => new Fields().append(name, bytes('x')),
      (error) => isTag(error, 'invalid-syntax'),
    )
    throws(
      () => new Fields().set(name, [bytes('x')]),
      (error) => isTag(error, 'invalid-syntax'),
    )
    throws(
      () => Fields.fromList([[name, bytes('x')]]),
      (error) => isTag(error, 'invalid-syntax'),
    )
    throws(
      () => new Fields().delete(name),
      (error) => isTag(error, 'invalid-syntax'),
    )
  })
}

for (const value of ['a\r\nset-cookie: x', 'a\nb', 'a\rb', 'a\0b', '\x01', '\x7f', '\n', 'x\r\n y']) {
  test(`fields refuse the value ${JSON.stringify(value)}`, () => {
    throws(
      () => new Fields().append('x', bytes(value)),
      (error) => isTag(error, 'invalid-syntax'),
    )
    throws(
      () => new Fields().set('x', [bytes('fine'), bytes(value)]),
      (error) => isTag(error, 'invalid-syntax'),
    )
    throws(
      () => Fields.fromList([['x', bytes(value)]]),
      (error) => isTag(error, 'invalid-syntax'),
    )
  })
}

for (const value of ['', 'a', 'a\tb', ' a ', '\x80\xff', 'text; charset="utf-8"', 'ü']) {
  test(`fields keep the value ${JSON.stringify(value)} byte for byte`, () => {
    const fields = Fields.fromList([['x', bytes(value)]])
    deepStrictEqual(shown(fields), [['x', value]])
    deepStrictEqual(
      fields.get('X').map((item) => Buffer.from(item).toString('latin1')),
      [value],
    )
  })
}

for (const name of [
  'Connection',
  'host',
  'TRANSFER-ENCODING',
  'Upgrade',
  'keep-alive',
  'Proxy-Connection',
  'http2-settings',
  'proxy-authorization',
  'Proxy-Authenticate',
]) {
  test(`a guest may neither set nor see ${name}`, () => {
    throws(
      () => new Fields().append(name, bytes('x')),
      (error) => isTag(error, 'forbidden'),
    )
    throws(
      () => new Fields().set(name, [bytes('x')]),
      (error) => isTag(error, 'forbidden'),
    )
    throws(
      () => new Fields().delete(name),
      (error) => isTag(error, 'forbidden'),
    )
    throws(
      () => Fields.fromList([[name, bytes('x')]]),
      (error) => isTag(error, 'forbidden'),
    )
    deepStrictEqual(
      shown(
        Fields.received([
          [name.toLowerCase(), 'x'],
          ['y', 'z'],
        ]),
      ),
      [['y', 'z']],
    )
  })
}

test('fields compare names without case, keep the order, and give back the case they were given', () => {
  const fields = new Fields()
  fields.append('X-One', bytes('1'))
  fields.append('x-two', bytes('2'))
  fields.append('x-one', bytes('3'))
  deepStrictEqual(shown(fields), [
    ['X-One', '1'],
    ['x-two', '2'],
    ['x-one', '3'],
  ])
  strictEqual(fields.has('X-TWO'), true)
  strictEqual(fields.get('X-ONE').length, 2)
  fields.set('X-ONE', [bytes('4')])
  deepStrictEqual(shown(fields), [
    ['x-two', '2'],
    ['X-ONE', '4'],
  ])
  fields.set('x-two', [])
  fields.delete('x-one')
  deepStrictEqual(shown(fields), [])
})

test('received, frozen and viewed fields cannot be changed, their clones can', () => {
  const own = Fields.fromList([['a', bytes('1')]])
  const view = own.view()
  for (const fields of [Fields.received([['a', '1']]), view, own.freeze()]) {
    throws(
      () => fields.append('b', bytes('2')),
      (error) => isTag(error, 'immutable'),
    )
    throws(
      () => fields.set('a', []),
      (error) => isTag(error, 'immutable'),
    )
    throws(
      () => fields.delete('a'),
      (error) => isTag(error, 'immutable'),
    )
    const clone = fields.clone()
    clone.append('b', bytes('2'))
    deepStrictEqual(shown(clone), [
      ['a', '1'],
      ['b', '2'],
    ])
    deepStrictEqual(shown(fields), [['a', '1']])
  }
})

test('fields trap beyond 1,000 entries and beyond 128 KiB, and what is removed makes room', () => {
  const many = new Fields()
  for (let index = 0; index < 1_000; index++) many.append('a', bytes('1'))
  throws(() => many.append('a', bytes('1')), /more than 1000 fields/)
  const large = new Fields()
  large.append('a', new Uint8Array(127 * 1024).fill(65))
  throws(() => large.append('b', new Uint8Array(2_000).fill(65)), /131072 bytes/)
  large.set('a', [bytes('1')])
  large.append('b', new Uint8Array(2_000).fill(65))
  const clone = Fields.received([['a', 'x'.repeat(127 * 1024)]]).clone()
  throws(() => clone.append('b', new Uint8Array(2_000).fill(65)), /131072 bytes/)
})

for (const [values, length] of [
  [[], undefined],
  [['0'], 0],
  [['12'], 12],
  [['1', '1'], 'invalid'],
  [['1, 1'], 'invalid'],
  [['-1'], 'invalid'],
  [['+1'], 'invalid'],
  [['1e3'], 'invalid'],
  [[''], 'invalid'],
  [['0x10'], 'invalid'],
  [['99999999999999999999'], 'invalid'],
] as const) {
  test(`content-length ${JSON.stringify(values)} is ${length}`, () => {
    const fields = Fields.fromList(values.map((value) => ['Content-Length', bytes(value)]))
    strictEqual(fields.contentLength(), length)
  })
}

function isTag(error: unknown, tag: string): boolean {
  deepStrictEqual(error, { tag })
  return true
}
