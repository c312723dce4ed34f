import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeKey, encodeKey, encodeNatsKey } from '../../src/capabilities/keyvalue/key-encoding.ts'
import { parseStoreName, storeInBackend } from '../../src/capabilities/store-name.ts'
import { isKvKey } from '../../src/lattice/kv-bucket.ts'
import { matchesPattern, parseInbox, parseOpenPattern, parseOpenSubject } from '../../src/lattice/open-subjects.ts'

const keys = [
  'a',
  'a.b',
  '.',
  '..',
  '...',
  '.a',
  'a.',
  'a..b',
  '*',
  '>',
  '=',
  '=2E',
  '%',
  '%2E',
  ' ',
  '/',
  'a/b',
  'ü',
  '🙂',
  '\r\n',
  '\u0001',
  'x'.repeat(1024),
]

for (const key of keys) {
  test(`the key ${JSON.stringify(key.slice(0, 20))} can be stored and read back in every backend`, () => {
    const nats = encodeNatsKey(key)
    assert.ok(isKvKey(nats), nats)
    assert.equal(decodeKey(nats, '='), key)
    const file = encodeKey(key, '%', '')
    assert.match(file, /^[\w%-]+$/)
    assert.equal(decodeKey(file, '%'), key)
  })
}

test('no two keys become one', () => {
  assert.equal(new Set(keys.map(encodeNatsKey)).size, keys.length)
  assert.equal(new Set(keys.map((key) => encodeKey(key, '%', ''))).size, keys.length)
})

for (const name of ['a/b', '..', '.', 'a.b', '_a', '-a', 'a b', 'ü', 'x'.repeat(65), 'a\n', undefined, 7]) {
  test(`${JSON.stringify(name)} is no name of a bucket`, () => assert.equal(parseStoreName(name), undefined))
}

test('no namespace, workload and name mean the bucket of another', () => {
  const seen = new Map<string, string>()
  for (const namespace of ['a', 'a-b', 'w']) {
    for (const workloadName of ['a', 'a.b', 'b']) {
      for (const text of ['a', 'b', 'a_b', 'a__b', 'w_a']) {
        const name = parseStoreName(text)
        assert.ok(name)
        for (const kind of ['namespace', 'workload'] as const) {
          const inBackend = storeInBackend({ kind }, { namespace, workloadName }, name)
          assert.match(inBackend ?? '', /^[\w-]+$/)
          const who = JSON.stringify(
            kind === 'namespace' ? [kind, namespace, text] : [kind, namespace, workloadName, text],
          )
          assert.equal(seen.get(inBackend ?? '') ?? who, who)
          seen.set(inBackend ?? '', who)
        }
      }
    }
  }
})

for (const text of [
  '',
  '.',
  'a.',
  '.a',
  'a..b',
  'a b',
  'a\tb',
  'a\r\nb',
  '*',
  '>',
  'a.*',
  'a.>',
  'a*',
  '$SYS.a',
  '_INBOX.a',
  'runtime',
  'runtime.host',
  'herald.hosts',
  'ü',
  'x'.repeat(513),
]) {
  test(`${JSON.stringify(text.slice(0, 20))} is no subject for a guest`, () =>
    assert.equal(parseOpenSubject(text), undefined))
}

for (const text of ['a', 'a.b.c', 'runtimes.a', 'a.runtime', 'orders.{id}', 'a.$b']) {
  test(`${JSON.stringify(text)} is a subject for a guest`, () => assert.equal(parseOpenSubject(text), text))
}

for (const text of ['>', '*', '*.a', 'a.>.b', 'a*.b', '$JS.>', '_INBOX.>', 'runtime.*', 'herald.>']) {
  test(`${text} is no pattern of a manifest`, () => assert.equal(parseOpenPattern(text), undefined))
}

test('patterns match as NATS has it', () => {
  const matches = (pattern: string, subject: string) => {
    const [parsed, of] = [parseOpenPattern(pattern), parseOpenSubject(subject)]
    assert.ok(parsed && of)
    return matchesPattern(parsed, of)
  }
  assert.ok(matches('a', 'a') && matches('a.*', 'a.b') && matches('a.>', 'a.b.c') && matches('a.*.c', 'a.b.c'))
  assert.ok(
    !matches('a', 'a.b') &&
      !matches('a.*', 'a') &&
      !matches('a.*', 'a.b.c') &&
      !matches('a.>', 'a') &&
      !matches('a.*.c', 'a.b.d'),
  )
})

test('an inbox is one of NATS’ own, without wildcards', () => {
  assert.ok(parseInbox('_INBOX.abc.1'))
  for (const text of ['_INBOX.>', '_INBOX.*', '_INBOX.a b', '_INBOX.', 'INBOX.a', '_R_.a', undefined]) {
    assert.equal(parseInbox(text), undefined, String(text))
  }
})
