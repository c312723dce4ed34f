import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createIngress } from '../../../src/ingress/create-ingress.ts'
import { log, testEngine } from '../engine-fixture.ts'
import { fuzz } from './fuzz-run.ts'
import { fuzzOriginals } from './originals.ts'

// The whole of it, 10,000 and more, is `node test/engine/fuzz/main.ts`.
test('500 damaged components are refused or run, and the engine goes on', async () => {
  const originals = await fuzzOriginals(['hello-c', 'hello-cli-c', 'whoami-c'])
  await using engine = testEngine()
  await using ingress = await createIngress({ log, host: '127.0.0.1', port: 0 })
  const report = await fuzz({ engine, ingress, originals, count: 500, firstSeed: 1_000_000, maxStarted: 15 })
  assert.equal(report.tried, 500)
  assert.equal(report.started, 15)
  assert.deepEqual(report.endedTheWorker, [])
  const accepted = Object.values(report.byKind).reduce((sum, { accepted }) => sum + accepted, 0)
  // Damage that is always found at once would test the first check only.
  assert.ok(accepted >= 15 && accepted < 250, `${accepted} accepted`)
  for (const { name, bytes } of originals) assert.equal((await engine.inspect(bytes)).sizeBytes, bytes.length, name)
})
