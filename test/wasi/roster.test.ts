import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Roster } from '../../src/wasi/roster.ts'

test('who has joined is on it until he leaves, whoever else comes and goes', () => {
  const roster = new Roster<{ place: number; name: number }>()
  const items = Array.from({ length: 20 }, (_, name) => ({ place: -1, name }))
  const present = new Set<(typeof items)[number]>()
  for (let n = 0; n < 2_000; n++) {
    const item = items[(n * 7919) % 20]!
    if (present.has(item)) {
      assert.equal(roster.leave(item), true)
      present.delete(item)
    } else {
      assert.equal(roster.leave(item), false)
      roster.join(item)
      present.add(item)
    }
    assert.equal(roster.size, present.size)
    assert.deepEqual(new Set(roster.all()), present)
  }
})

test('one who is on another is not on this', () => {
  const [here, there] = [new Roster<{ place: number }>(), new Roster<{ place: number }>()]
  const [mine, yours] = [{ place: -1 }, { place: -1 }]
  here.join(mine)
  there.join(yours)
  assert.equal(here.leave(yours), false)
  assert.deepEqual(here.all(), [mine])
})
