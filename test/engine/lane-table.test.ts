import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LaneTable } from '../../src/engine/lane-table.ts'

test('an id is never given twice, however long others keep theirs', () => {
  const table = new LaneTable<{ id: number }>()
  const given = new Set<number>()
  const add = (): { id: number } => {
    const entry = { id: table.nextId() }
    assert.ok(!given.has(entry.id))
    given.add(entry.id)
    table.add(entry)
    return entry
  }
  const slow = Array.from({ length: 100 }, add)
  for (let n = 0; n < 10_000; n++) table.delete(add().id)
  assert.equal(table.size, 100)
  assert.deepEqual(new Set(table.all()), new Set(slow))
  for (const entry of slow) assert.equal(table.get(entry.id), entry)
})

test('the id of one that has gone means nobody, also when another has its place', () => {
  const ours = new LaneTable<{ id: number }>()
  const theirs = new LaneTable<{ id: number }>()
  const gone: number[] = []
  for (let n = 0; n < 1_000; n++) {
    const entry = { id: ours.nextId() }
    ours.add(entry)
    theirs.add(entry)
    for (const id of gone) {
      assert.equal(ours.get(id), undefined)
      assert.equal(theirs.get(id), undefined)
      theirs.delete(id)
    }
    assert.equal(theirs.get(entry.id), entry)
    ours.delete(entry.id)
    theirs.delete(entry.id)
    gone.push(entry.id)
  }
  assert.equal(ours.size + theirs.size, 0)
})
