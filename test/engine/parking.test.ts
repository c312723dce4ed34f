import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Cell, CellSpec } from '../../src/engine/engine.ts'
import { cellSpec, component, isolations, serve, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent } from './guests/build-guest.ts'

// Compiled once for all of these engines.
const cacheDir = await mkdtemp(join(tmpdir(), 'herald-parking-'))
after(() => rm(cacheDir, { recursive: true, force: true }))
const parkable = (idleTimeoutMs: number, spec: CellSpec): CellSpec => ({ ...spec, idleTimeoutMs })

async function until(condition: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + 30_000
  while (!condition()) {
    assert.ok(performance.now() < giveUpMs, `${what}: not within 30 s`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
const parked = (cell: Cell) => until(() => cell.state.kind === 'parked', 'the cell is parked')

for (const isolation of isolations)
  test(`an idle cell gives its ${isolation} back, and the next request is answered as if it had not`, async () => {
    await using engine = testEngine({ cacheDir, isolation })
    const cell = await engine.startCell(parkable(50, cellSpec(component(await faultsComponent()))), {
      signal: signal(),
    })
    await using ingress = await serve(cell)
    for (let wakes = 1; wakes <= 3; wakes++) {
      await parked(cell)
      assert.equal(cell.metrics().parked, 1)
      assert.equal(cell.metrics().instances, 0)
      assert.equal(await (await fetch(`${ingress.url}/again`)).text(), '/again')
      assert.equal(cell.metrics().wakes, wakes)
    }
    assert.equal(cell.metrics().restarts, 0)
    assert.equal(cell.metrics().requests, 3)
    assert.ok(cell.metrics().cpuMs > 0)
  })

test('requests that come together while a cell is parked are held, and wake it once', async () => {
  await using engine = testEngine({ cacheDir })
  const cell = await engine.startCell(parkable(300, cellSpec(component(await faultsComponent()))), { signal: signal() })
  await using ingress = await serve(cell)
  await parked(cell)
  const answers = await Promise.all(
    Array.from({ length: 30 }, async (_, index) => (await fetch(`${ingress.url}/${index}`)).text()),
  )
  assert.deepEqual(
    answers,
    answers.map((_, index) => `/${index}`),
  )
  assert.equal(cell.metrics().wakes, 1)
})

test('no request is lost, however often a cell is parked between them', async () => {
  await using engine = testEngine({ cacheDir })
  const cell = await engine.startCell(parkable(0, cellSpec(component(await faultsComponent()))), { signal: signal() })
  await using ingress = await serve(cell)
  const body = 'x'.repeat(50_000)
  await Promise.all(
    Array.from({ length: 4 }, async (_, client) => {
      for (let round = 0; round < 15; round++) {
        const answer = await fetch(`${ingress.url}/echo`, { method: 'POST', body })
        assert.equal(answer.status, 200)
        assert.equal(await answer.text(), body)
        await new Promise((resolve) => setTimeout(resolve, (client * 53 + round * 97) % 300))
      }
    }),
  )
  assert.equal(cell.metrics().requests, 60)
  assert.equal(cell.metrics().failures, 0)
})

test('a cell with a request in flight, or that listens itself, is not parked', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine({ cacheDir, warmCells: 0 })
  const limits = { requestTimeoutMs: 1_500 }
  const busy = await engine.startCell(parkable(0, cellSpec(component(bytes, limits))), { signal: signal() })
  await using ingress = await serve(busy)
  const answer = fetch(`${ingress.url}/sleep`)
  await until(() => busy.metrics().inFlight === 1, 'the request is in flight')
  let wasParked = false
  busy.onStateChange(({ kind }) => {
    if (kind === 'parked') wasParked = true
  })
  const listening = await engine.startCell(parkable(0, cellSpec(component(bytes))), { signal: signal() })
  const options = { host: '127.0.0.1', port: 0, maxHeaderBytes: 16_384, keepAliveTimeoutMs: 1000, maxConnections: 10 }
  const { port } = await listening.listenHttp!('guest', options)
  assert.equal((await answer).status, 504)
  assert.equal(wasParked, false)
  await parked(busy)
  assert.equal(listening.state.kind, 'serving')
  assert.equal(await (await fetch(`http://127.0.0.1:${port}/direct`)).text(), '/direct')
})

test('beyond the cells that may be warm, those that were never used are parked without waiting for their time', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine({ cacheDir, warmCells: 2 })
  const cells = await Promise.all(
    Array.from({ length: 6 }, () =>
      engine.startCell(parkable(3_600_000, cellSpec(component(bytes))), { signal: signal() }),
    ),
  )
  const kinds = () => cells.map(({ state }) => state.kind)
  await until(() => kinds().filter((kind) => kind === 'parked').length === 4, 'four are parked')
  assert.equal(kinds().filter((kind) => kind === 'serving').length, 2)
})

test('a cell without a time to idle is never parked', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine({ cacheDir, warmCells: 0 })
  const always = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
  const other = await engine.startCell(parkable(3_600_000, cellSpec(component(bytes))), { signal: signal() })
  await parked(other)
  assert.equal(always.state.kind, 'serving')
})

test('a capability hears that the thread is gone, and that there is another', async () => {
  await using engine = testEngine({ cacheDir })
  const heard: string[] = []
  const binding = {
    cellModule: new URL('./capabilities/test-cell.ts', import.meta.url),
    config: { plain: 41 },
    handle: async () => undefined,
    attach: () => {},
    onCell: (state: string) => void heard.push(state),
    release: () => {},
  }
  const guest = component(await faultsComponent(), {}, { bindings: [binding] })
  const cell = await engine.startCell(parkable(50, cellSpec(guest)), { signal: signal() })
  await using ingress = await serve(cell)
  await parked(cell)
  assert.deepEqual(heard, ['serving', 'gone'])
  assert.equal((await fetch(`${ingress.url}/`)).status, 200)
  assert.deepEqual(heard, ['serving', 'gone', 'serving'])
})

test('a cell that is closed while it is parked, or being woken, ends', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine({ cacheDir })
  const asleep = await engine.startCell(parkable(0, cellSpec(component(bytes))), { signal: signal() })
  const waking = await engine.startCell(parkable(0, cellSpec(component(bytes))), { signal: signal() })
  await using ingress = await serve(waking)
  await Promise.all([parked(asleep), parked(waking)])
  await asleep.close({ drainTimeoutMs: 5_000 })
  assert.equal(asleep.state.kind, 'stopped')
  const answer = fetch(`${ingress.url}/held`)
  await until(() => waking.metrics().wakes === 1, 'the request woke it')
  await waking.close({ drainTimeoutMs: 0 })
  const { status } = await answer
  assert.ok(status === 200 || status === 503, String(status))
  assert.equal(waking.state.kind, 'stopped')
})
