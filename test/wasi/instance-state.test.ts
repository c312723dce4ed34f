import assert from 'node:assert/strict'
import test from 'node:test'
import { InstanceState, maxOpenPerInstance } from '../../src/wasi/instance-state.ts'

test('an instance may have so many resources open and no more, and all are closed at its end', () => {
  const state = new InstanceState({ signal: new AbortController().signal })
  let closed = 0
  const open = () => state.adopt({ close: () => closed++ })
  for (let n = 0; n < maxOpenPerInstance; n++) open()
  assert.throws(open, /may have no more/)
  assert.equal(closed, 1, 'the one too many is closed at once')
  assert.equal(state.openCount, maxOpenPerInstance)
  state.end(new Error('ended'))
  assert.equal(closed, maxOpenPerInstance + 1)
  assert.throws(open, /ended/)
  assert.equal(closed, maxOpenPerInstance + 2)
})
