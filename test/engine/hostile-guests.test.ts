import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Cell, Engine } from '../../src/engine/engine.ts'
import type { Ingress } from '../../src/ingress/ingress.ts'
import { cellSpec, component, isolations, serve, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent } from './guests/build-guest.ts'

for (const isolation of isolations)
  describe(`a guest that misbehaves, its cell being a ${isolation}`, () => {
    let engine: Engine
    let cell: Cell
    let ingress: Ingress & { url: string }
    const get = (path: string, init?: RequestInit) => fetch(ingress.url + path, init)
    const text = async (path: string) => (await get(path)).text()

    before(async () => {
      engine = testEngine({ isolation })
      const limits = { memoryLimitMb: 8, requestTimeoutMs: 400, watchdogMs: 500 }
      cell = await engine.startCell(cellSpec(component(await faultsComponent(), limits)), { signal: signal() })
      ingress = await serve(cell)
    })
    after(async () => {
      await ingress.close()
      await engine[Symbol.asyncDispose]()
    })

    for (const path of ['/trap', '/recurse', '/allocate-and-trap', '/twice', '/exit']) {
      test(`at ${path} loses its instance and nothing else`, async () => {
        const { restarts } = cell.metrics()
        const answer = await get(path)
        // /twice breaks a rule after its whole answer was sent.
        assert.equal(answer.status, path === '/twice' ? 200 : 500)
        await answer.text()
        assert.equal(await text('/alive'), '/alive')
        assert.equal(cell.metrics().restarts, restarts)
        assert.equal(cell.state.kind, 'serving')
      })
    }

    for (const path of ['/hoard-fields', '/hoard-pollables', '/hoard-responses']) {
      test(`at ${path} gets no more than 4,096 handles, and loses its instance and nothing else`, async () => {
        const { handleLimits, traps, restarts } = cell.metrics()
        const answer = await get(path)
        assert.equal(answer.status, 500)
        assert.equal((await answer.json()).error.code, 'ERR_COMPONENT_HANDLES')
        assert.equal(cell.metrics().handleLimits, handleLimits + 1)
        assert.equal(cell.metrics().traps, traps)
        assert.equal(cell.metrics().restarts, restarts)
        assert.equal(await text('/alive'), '/alive')
      })
    }

    test('that drops its handles may make as many as it likes', async () => {
      assert.equal(await text('/take-and-drop'), '20000')
    })

    test('gets no more memory than its limit', async () => {
      const pages = Number(await text('/allocate'))
      assert.ok(pages > 100 && pages <= 8 * 16, `${pages} pages`)
    })

    test('that does not answer is ended at its deadline with 504', async () => {
      const started = performance.now()
      const answer = await get('/sleep')
      assert.equal(answer.status, 504)
      assert.equal((await answer.json()).error.code, 'ERR_COMPONENT_DEADLINE')
      assert.ok(performance.now() - started < 1500)
    })

    test('that returns without an answer gives 500', async () => {
      assert.equal((await get('/nothing')).status, 500)
    })

    test('that traps in the middle of its response never looks complete', async () => {
      const answer = await get('/half')
      assert.equal(answer.status, 200)
      await assert.rejects(answer.text())
    })

    test('that leaves its response unfinished before any of it went out gives 500', async () => {
      assert.equal((await get('/unfinished')).status, 500)
    })

    test('whose body is shorter than its Content-Length says gives no complete answer', async () => {
      assert.ok((await get('/too-short')).status >= 500)
    })

    test('that loops for ever is ended by the watchdog; its own cell serves again and says why', async () => {
      const restarted = new Promise<string>((resolve) => {
        cell.onStateChange((state) => state.kind === 'restarting' && resolve(state.reason))
      })
      const answer = await get('/loop')
      assert.equal(answer.status, 503)
      assert.equal(answer.headers.get('retry-after'), '1')
      const { error } = (await answer.json()) as { error: { code: string; reason: string } }
      assert.equal(error.code, 'ERR_CELL_ENDED')
      assert.match(error.reason, /did not yield/)
      assert.match(await restarted, /did not yield/)
      const from = performance.now()
      for (;;) {
        const again = await get('/alive')
        await again.text()
        if (again.status === 200) break
        assert.ok(performance.now() - from < 5000, 'no answer for 5 s')
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      assert.equal(cell.metrics().restarts, 1)
    })
  })

for (const { path, what, status, rounds } of [
  { path: '/loop', what: 'an endless loop', status: 503, rounds: 2 },
  { path: '/trap', what: 'trap after trap', status: 500, rounds: 30 },
  { path: '/recurse', what: 'recursion without end', status: 500, rounds: 30 },
  { path: '/allocate-and-trap', what: 'allocation without end', status: 500, rounds: 30 },
]) {
  test(`${what} in one cell loses no request of a neighbour under load`, async () => {
    const bytes = await faultsComponent()
    await using engine = testEngine()
    const bad = await engine.startCell(cellSpec(component(bytes, { watchdogMs: 300 })), { signal: signal() })
    const good = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
    await using badIngress = await serve(bad)
    await using goodIngress = await serve(good)
    let stop = false
    let served = 0
    const load = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const answer = await fetch(`${goodIngress.url}/fine`)
        assert.equal(await answer.text(), '/fine')
        served += 1
      }
    })
    for (let round = 0; round < rounds; round++) {
      const answer = await fetch(badIngress.url + path)
      assert.equal(answer.status, status)
      await answer.text()
      await new Promise((resolve) => setTimeout(resolve, 600 / rounds))
    }
    stop = true
    await Promise.all(load)
    assert.ok(served > 100, `${served} requests`)
    assert.equal(good.metrics().failures, 0)
    assert.equal(good.metrics().restarts, 0)
  })
}

test('a cell that keeps ending is given up, and its requests say so', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine({ restartPausesMs: [0, 20] })
  const cell = await engine.startCell(cellSpec(component(bytes, { watchdogMs: 200 })), { signal: signal() })
  await using ingress = await serve(cell)
  const failed = new Promise<string>((resolve) => {
    cell.onStateChange((state) => state.kind === 'failed' && resolve(state.reason))
  })
  const ask = async () => {
    const answer = await fetch(`${ingress.url}/loop`)
    await answer.text()
    return answer
  }
  while (cell.state.kind !== 'failed') await ask()
  assert.match(await failed, /did not yield/)
  assert.equal(cell.metrics().restarts, 2)
  const answer = await ask()
  assert.equal(answer.status, 503)
  assert.equal(answer.headers.get('retry-after'), null)
})
