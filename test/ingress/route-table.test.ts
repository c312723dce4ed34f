import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RouteTable } from '../../src/ingress/route-table.ts'

function replica(state: 'up' | 'resting' | 'down', inFlight = 0) {
  const made = {
    up: state === 'up',
    resting: state === 'resting',
    inFlight,
    woken: 0,
    wake() {
      made.woken += 1
    },
  }
  return made
}

function tableOf(...replicas: ReturnType<typeof replica>[]) {
  const table = new RouteTable<ReturnType<typeof replica>>()
  for (const [id, each] of replicas.entries()) table.add(id, ['a.example'], each)
  return table
}

test('the replica with the fewest requests in flight is taken, one that is up before one that rests before one that is down', () => {
  const [busy, free, resting, down] = [replica('up', 3), replica('up', 1), replica('resting'), replica('down')]
  assert.equal(tableOf(down, resting, busy, free).find('a.example'), free)
  assert.equal(tableOf(down, resting).find('a.example'), resting)
  assert.equal(tableOf(down).find('a.example'), down)
  assert.equal(tableOf(down).find('b.example'), undefined)
})

test('a replica that rests is woken when those that are up have work, and left alone when one has none', () => {
  const resting = replica('resting')
  tableOf(replica('up', 0), resting).find('a.example')
  assert.equal(resting.woken, 0)
  tableOf(replica('up', 1), resting).find('a.example')
  assert.equal(resting.woken, 1)
})
