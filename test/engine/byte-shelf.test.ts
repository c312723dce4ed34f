import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteShelf } from '../../src/engine/byte-shelf.ts'

const length = 65_536

test('what was given back is taken again, by one taker at a time', () => {
  const shelf = new ByteShelf()
  const first = shelf.take(length)
  shelf.give(first)
  assert.equal(shelf.take(length), first)
  assert.notEqual(shelf.take(length), first)
})

test('an array that somebody else may have is never handed out: a foreign one, a part of one, one of another length', () => {
  const shelf = new ByteShelf()
  const taken = shelf.take(length)
  for (const foreign of [new Uint8Array(length), taken.subarray(0), Buffer.from(taken.buffer)]) shelf.give(foreign)
  const next = shelf.take(length)
  assert.notEqual(next.buffer, taken.buffer)
  shelf.give(next)
  assert.equal(shelf.take(length / 2).length, length / 2)
  assert.equal(new ByteShelf().take(7).length, 7)
})

test('one that was moved to another thread is gone', () => {
  const shelf = new ByteShelf()
  const taken = shelf.take(length)
  structuredClone(taken, { transfer: [taken.buffer] })
  shelf.give(taken)
  assert.equal(shelf.take(length).length, length)
})

test('no more is kept than 4 MiB', () => {
  const shelf = new ByteShelf()
  const taken = Array.from({ length: 100 }, () => shelf.take(length))
  for (const each of taken) shelf.give(each)
  const kept = new Set(Array.from({ length: 100 }, () => shelf.take(length)))
  assert.equal(taken.filter((each) => kept.has(each)).length, 64)
})
