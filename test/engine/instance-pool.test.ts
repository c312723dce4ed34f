import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InstancePool, PoolBusyError, type Pooled } from '../../src/engine/instance-pool.ts'
import { cellSpec, component, serve, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent } from './guests/build-guest.ts'

type Item = { id: number; destroyed: boolean; uses: number; inUse: boolean }

function pool(options: { keep?: number; maxItems?: number; maxWaiting?: number; maxUses?: number } = {}) {
  const made: Item[] = []
  const items = new InstancePool<Item>({
    create: () => {
      const item = { id: made.length, destroyed: false, uses: 0, inUse: false }
      made.push(item)
      return item
    },
    destroy: (item) => {
      item.destroyed = true
    },
    keep: 2,
    maxItems: 3,
    maxWaiting: 2,
    maxUses: 0,
    ...options,
  })
  return { items, made }
}
const never = new AbortController().signal

test('an item is with one user at a time, and a healthy one is used again', () => {
  const { items, made } = pool()
  const first = items.tryCheckout()!
  const second = items.tryCheckout()!
  assert.notEqual(first, second)
  items.checkin(first, true)
  assert.equal(items.tryCheckout(), first)
  assert.equal(made.length, 2)
})

test('an item that is not healthy is destroyed and not used again', () => {
  const { items } = pool()
  const first = items.tryCheckout()!
  items.checkin(first, false)
  assert.ok(first.destroyed)
  assert.notEqual(items.tryCheckout(), first)
})

test('an item retires after so many uses', () => {
  const { items } = pool({ maxUses: 2 })
  const first = items.tryCheckout()!
  items.checkin(first, true)
  assert.equal(items.tryCheckout(), first)
  items.checkin(first, true)
  assert.ok(first.destroyed)
})

test('a pool that keeps none makes one for each use', () => {
  const { items } = pool({ keep: 0 })
  const first = items.tryCheckout()!
  items.checkin(first, true)
  assert.ok(first.destroyed)
  assert.equal(items.size, 0)
})

test('beyond the bound calls wait in turn, and beyond the queue they are refused', async () => {
  const { items } = pool({ maxItems: 1 })
  const first = items.tryCheckout()!
  const second = items.checkout(never)
  const third = items.checkout(never)
  await assert.rejects(items.checkout(never), PoolBusyError)
  items.checkin(first, true)
  assert.equal(await second, first)
  items.checkin(first, true)
  assert.equal(await third, first)
})

test('a call that waits can be cancelled, and a creation that fails reaches the one who waits', async () => {
  let fail = false
  const items = new InstancePool<Pooled>({
    create: () => {
      if (fail) throw new Error('cannot be made')
      return { uses: 0, inUse: false }
    },
    destroy: () => {},
    keep: 1,
    maxItems: 1,
    maxWaiting: 5,
    maxUses: 0,
  })
  const first = items.tryCheckout()!
  const controller = new AbortController()
  const cancelled = items.checkout(controller.signal)
  const waiting = items.checkout(never)
  controller.abort(new Error('enough'))
  await assert.rejects(cancelled, /enough/)
  fail = true
  items.checkin(first, false)
  await assert.rejects(waiting, /cannot be made/)
})

for (const keepGlue of [false, true]) {
  test(`calls never share an instance under concurrency (${keepGlue ? "jco's untouched" : 'slim'} glue)`, async () => {
    await using engine = testEngine({ keepGlue })
    const spec = component(await faultsComponent(), { poolSize: 2, maxInstances: 6 })
    const cell = await engine.startCell(cellSpec(spec), { signal: signal() })
    await using ingress = await serve(cell)
    const answers = await Promise.all(
      Array.from({ length: 60 }, async () => (await fetch(`${ingress.url}/exclusive`)).text()),
    )
    assert.deepEqual(new Set(answers), new Set(['0']))
    assert.ok(cell.metrics().instances <= 6)
  })
}

test('poolSize 0 gives every call an instance of its own; a pool reuses them; maxInvocations ends that', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine()
  const calls = async (limits: { poolSize: number; maxInvocations?: number }) => {
    await using cell = await engine.startCell(cellSpec(component(bytes, limits)), { signal: signal() })
    await using ingress = await serve(cell)
    const seen: string[] = []
    for (let n = 0; n < 4; n++) seen.push(await (await fetch(`${ingress.url}/calls`)).text())
    return seen
  }
  assert.deepEqual(await calls({ poolSize: 0 }), ['1', '1', '1', '1'])
  assert.deepEqual(await calls({ poolSize: 1 }), ['1', '2', '3', '4'])
  assert.deepEqual(await calls({ poolSize: 1, maxInvocations: 2 }), ['1', '2', '1', '2'])
})
