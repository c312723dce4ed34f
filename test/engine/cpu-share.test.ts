import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CpuShare } from '../../src/engine/cpu-share.ts'
import type { Cell } from '../../src/engine/engine.ts'
import { Vitals } from '../../src/engine/vitals.ts'
import { cellSpec, component, isolations, serve, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent } from './guests/build-guest.ts'

describe('a share of a processor', () => {
  test('may be used at once for a second, and is behind beyond that until time has paid for it', () => {
    const share = new CpuShare(200, new Vitals(), 1_000)
    share.spend(200, 1_000)
    assert.equal(share.behindMs, 0)
    share.spend(100, 1_000)
    assert.equal(share.behindMs, 500)
    share.spend(0, 1_250)
    assert.equal(share.behindMs, 250)
    share.spend(0, 1_500)
    assert.equal(share.behindMs, 0)
    assert.equal(share.settled, false)
    share.spend(0, 2_500)
    assert.equal(share.settled, true)
  })

  test('is paid to the millisecond, however small it is and however often one asks', () => {
    const share = new CpuShare(10, new Vitals(), 0)
    share.spend(110, 0)
    for (let nowMs = 25; nowMs <= 10_000; nowMs += 25) share.spend(0, nowMs)
    assert.equal(share.behindMs, 0)
    share.spend(1, 10_000)
    assert.equal(share.behindMs, 100)
  })

  test('does not save up what was not used', () => {
    const share = new CpuShare(500, new Vitals(), 0)
    share.spend(0, 1_000_000)
    share.spend(600, 1_000_000)
    assert.equal(share.behindMs, 200)
  })

  test('outlives the thread: the next one owes what is in the counters', () => {
    const vitals = new Vitals()
    new CpuShare(100, vitals, 5_000).spend(300, 5_000)
    assert.equal(new CpuShare(100, vitals, 0).behindMs, 2_000)
  })
})

describe('a workload with a share of the processor', () => {
  const start = async (
    engine: ReturnType<typeof testEngine>,
    cpuLimitMillicores?: number,
    { watchdogMs = 30_000 }: { watchdogMs?: number } = {},
  ) => {
    const spec = cellSpec(component(await faultsComponent(), { watchdogMs, requestTimeoutMs: 120_000 }))
    return engine.startCell({ ...spec, ...(cpuLimitMillicores && { cpuLimitMillicores }) }, { signal: signal() })
  }
  /** What its thread used, in processors, from now until it has slept for two seconds because of its share. */
  const useUntilThrottled = async (cell: Cell): Promise<number> => {
    const from = { atMs: performance.now(), ...cell.metrics() }
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      const { throttledMs, cpuMs } = cell.metrics()
      const elapsedMs = performance.now() - from.atMs
      if (throttledMs - from.throttledMs >= 2_000) return (cpuMs - from.cpuMs) / elapsedMs
      assert.ok(elapsedMs < 40_000, `throttled for ${throttledMs - from.throttledMs} ms of ${elapsedMs}`)
    }
  }

  test('that computes in every request gets no more of it; its neighbour loses nothing', {
    timeout: 90_000,
  }, async () => {
    await using engine = testEngine()
    const spinner = await start(engine, 50)
    const neighbour = await start(engine)
    await using spinnerIngress = await serve(spinner)
    await using neighbourIngress = await serve(neighbour)
    let stop = false
    const load = (url: string) => async () => {
      let served = 0
      for (; !stop; served++) {
        const answer = await fetch(url)
        assert.equal(answer.status, 200)
        await answer.text()
      }
      return served
    }
    const loads = [...Array(4).fill(load(`${spinnerIngress.url}/spin`)), load(`${neighbourIngress.url}/fine`)].map(
      (begin) => begin(),
    )
    const used = await useUntilThrottled(spinner)
    stop = true
    const served = await Promise.all(loads)
    assert.ok(used <= 0.15, `it used ${used} of a processor`)
    assert.ok(Math.min(...served) > 0, `served ${served}`)
    assert.equal(spinner.metrics().restarts + spinner.metrics().cpuRefusals, 0)
    assert.equal(neighbour.metrics().throttledMs, 0)
  })

  for (const isolation of isolations)
    test(`that computes within one request, with waits in between, gets no more of it (its cell being a ${isolation})`, {
      timeout: 90_000,
    }, async () => {
      await using engine = testEngine({ isolation })
      const cell = await start(engine, 50)
      await using ingress = await serve(cell)
      const client = new AbortController()
      const request = fetch(`${ingress.url}/spin-and-yield`, { signal: client.signal }).catch(() => {})
      const used = await useUntilThrottled(cell)
      client.abort()
      await request
      assert.ok(used <= 0.15, `it used ${used} of a processor`)
      assert.equal(cell.metrics().restarts, 0)
    })

  const ask = async (url: string, client?: AbortSignal) => {
    const answer = await fetch(url, client ? { signal: client } : {})
    return { status: answer.status, retryAfter: answer.headers.get('retry-after'), text: await answer.text() }
  }

  test('has few calls wait for it', { timeout: 90_000 }, async () => {
    await using engine = testEngine()
    const cell = await start(engine, 20)
    await using ingress = await serve(cell)
    const clients = new AbortController()
    const many = Array.from({ length: 400 }, () => ask(`${ingress.url}/spin`, clients.signal).catch(() => undefined))
    const refused = await Promise.any(
      many.map(async (each) => ((await each)?.status === 503 ? each : Promise.reject())),
    )
    clients.abort()
    await Promise.all(many)
    assert.equal(JSON.parse(refused!.text).error.code, 'ERR_COMPONENT_CPU_LIMIT')
    assert.match(refused!.text, /used up its 20 millicores/)
    assert.equal(refused!.retryAfter, '1')
    assert.ok(cell.metrics().cpuRefusals > 0)
    assert.equal(cell.metrics().restarts, 0)
  })

  test('owes, when its guest did not yield, what that used when it serves again', { timeout: 90_000 }, async () => {
    await using engine = testEngine()
    const cell = await start(engine, 10, { watchdogMs: 500 })
    await using ingress = await serve(cell)
    const ended = await ask(`${ingress.url}/loop`)
    assert.equal(JSON.parse(ended.text).error.code, 'ERR_CELL_ENDED')
    for (const from = performance.now(); ; ) {
      const { status, text } = await ask(`${ingress.url}/fine`)
      assert.equal(status, 503)
      const { code, reason } = JSON.parse(text).error
      if (code === 'ERR_COMPONENT_CPU_LIMIT') {
        assert.match(reason, /it is \d+\.\d s behind/)
        return
      }
      assert.ok(performance.now() - from < 20_000, code)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })
})
