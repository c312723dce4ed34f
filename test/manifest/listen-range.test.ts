import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coversListen, listenRangeText, parseListenRange } from '../../src/manifest/listen-range.ts'

for (const [text, shown] of [
  ['9000', '127.0.0.1:9000'],
  ['9000-9099', '127.0.0.1:9000-9099'],
  [':9000', '0.0.0.0:9000'],
  ['10.0.0.1:80', '10.0.0.1:80'],
  ['[0:0::1]:1-65535', '[::1]:1-65535'],
] as const) {
  test(`${text} is ${shown}`, () => {
    const range = parseListenRange(text)
    assert.ok(range)
    assert.equal(listenRangeText(range), shown)
  })
}

for (const text of [
  '',
  '0',
  '65536',
  '9099-9000',
  '09',
  'localhost:80',
  '127.1:80',
  '[::1]',
  '[::1:80',
  '1-',
  '1.2.3.4',
]) {
  test(`${JSON.stringify(text)} is no address to listen on`, () => assert.equal(parseListenRange(text), undefined))
}

test('all addresses cover each one, and no other covers them', () => {
  const covers = (range: string, asked: string) => coversListen(parseListenRange(range)!, parseListenRange(asked)!)
  assert.ok(covers(':9000-9099', '10.0.0.1:9099'))
  assert.ok(covers('9000', '127.0.0.1:9000'))
  assert.ok(!covers('9000', ':9000'))
  assert.ok(!covers('9000', '[::1]:9000'))
  assert.ok(!covers('9000-9099', '9100'))
})
