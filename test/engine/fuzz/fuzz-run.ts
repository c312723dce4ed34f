import assert from 'node:assert/strict'
import type { Engine } from '../../../src/engine/engine.ts'
import { isHeraldError } from '../../../src/errors/herald-error.ts'
import type { Ingress } from '../../../src/ingress/ingress.ts'
import { cellSpec, component } from '../engine-fixture.ts'
import { type MutationKind, mutate, type Original } from './mutate.ts'

export type FuzzOptions = {
  readonly engine: Engine
  /** Serves those that start. */
  readonly ingress: Ingress
  readonly originals: readonly Original[]
  readonly count: number
  readonly firstSeed: number
  /** Most of the accepted ones that are started and asked. */
  readonly maxStarted: number
  readonly onProgress?: (report: FuzzReport) => void
}

export type FuzzReport = {
  tried: number
  readonly byKind: Record<string, { refused: number; accepted: number }>
  readonly refusals: Record<string, number>
  started: number
  readonly outcomes: Record<string, number>
  slowest: { ms: number; seed: number; kind: string }
  /** Seeds that ended or blocked the compile worker: survived, and worth a look. */
  readonly endedTheWorker: { seed: number; kind: string; from: string; message: string }[]
}

/** Slower than this is taken for a hang even if it ends. */
const hangMs = 20_000

/**
 * Gives the engine one damaged component after the other, and starts and asks some of those it takes.
 * @throws AssertionError with the seed, when anything else than an ERR_COMPONENT_… or ERR_CELL_… refusal comes of it.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { engine, originals, count, firstSeed } = options
  const report: FuzzReport = {
    tried: 0,
    byKind: {},
    refusals: {},
    started: 0,
    outcomes: {},
    slowest: { ms: 0, seed: -1, kind: '' },
    endedTheWorker: [],
  }
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const { kind, from, bytes } = mutate(seed, originals)
    report.byKind[kind] ??= { refused: 0, accepted: 0 }
    const of = report.byKind[kind]
    const startedAt = performance.now()
    try {
      await engine.inspect(bytes)
      of.accepted += 1
      if (report.started < options.maxStarted) await start(bytes, seed, kind, options, report)
    } catch (error) {
      assertRefusal(error, seed, kind)
      of.refused += 1
      count1(report.refusals, error.code)
      if (/compile worker|took longer/.test(error.message))
        report.endedTheWorker.push({ seed, kind, from, message: error.message })
    }
    const ms = performance.now() - startedAt
    if (ms > report.slowest.ms) report.slowest = { ms: Math.round(ms), seed, kind }
    assert.ok(ms < hangMs, `seed ${seed} (${kind}) took ${ms} ms`)
    report.tried += 1
    if (report.tried % 500 === 0) options.onProgress?.(report)
  }
  assert.deepEqual(Object.keys(Object.prototype), [], 'something was written to Object.prototype')
  return report
}

/** Runs what the engine takes for a component: it may trap, loop or answer nonsense, within its cell. */
async function start(
  bytes: Uint8Array,
  seed: number,
  kind: MutationKind,
  { engine, ingress }: FuzzOptions,
  report: FuzzReport,
): Promise<void> {
  report.started += 1
  const limits = { memoryLimitMb: 16, requestTimeoutMs: 300, watchdogMs: 300, poolSize: 1 }
  const capabilityInterfaces = ['wasmcloud:identity/store']
  const spec = cellSpec(component(bytes, limits, { capabilityInterfaces }))
  let outcome: string
  try {
    await using cell = await engine.startCell(spec, { signal: AbortSignal.timeout(hangMs) })
    using _route = ingress.route({ hosts: '*', cell, component: 'guest' })
    const { address } = ingress
    const answer = await fetch(`http://${address.host}:${address.port}/`, { signal: AbortSignal.timeout(hangMs) })
    outcome = await answer.text().then(
      () => `answered ${answer.status}`,
      () => 'answer cut off',
    )
  } catch (error) {
    assertRefusal(error, seed, kind)
    outcome = error.code
  }
  count1(report.outcomes, outcome)
}

function assertRefusal(error: unknown, seed: number, kind: string): asserts error is Error & { code: string } {
  const isRefusal = isHeraldError(error) && /^ERR_(COMPONENT|CELL)_/.test(error.code)
  assert.ok(isRefusal, `seed ${seed} (${kind}): ${error instanceof Error ? error.stack : error}`)
  assert.ok(error.message.length < 600 && !error.message.includes('\n'), `seed ${seed} (${kind}): ${error.message}`)
}

function count1(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1
}
