import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReplayWindow } from '../../src/capabilities/calls/replay-window.ts'

test('a number is taken once, in whatever order numbers come', () => {
  const window = new ReplayWindow()
  for (const number of [5, 3, 4, 1, 40_000, 39_999, 7_500, 2 ** 47, 2 ** 47 - 32_767]) {
    assert.equal(window.take(number), true, String(number))
    assert.equal(window.take(number), false, `${number} again`)
  }
})

test('what lies too far behind counts as taken, and what is skipped does not', () => {
  const window = new ReplayWindow()
  assert.equal(window.take(1), true)
  assert.equal(window.take(32_768), true)
  assert.equal(window.take(2), true, 'the oldest that is remembered')
  assert.equal(window.take(65_000), true)
  assert.equal(window.take(32_232), false, 'too old')
  assert.equal(window.take(32_768), false, 'taken, and still remembered')
  for (const number of [32_769, 40_000, 64_999]) assert.equal(window.take(number), true, String(number))
  assert.equal(window.take(1_000_000), true)
  assert.equal(window.take(967_233), true, 'skipped by more than all that is remembered')
  for (const number of [0, -1]) assert.equal(window.take(number), false)
})
