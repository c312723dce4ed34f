// Damages real components and gives them to the engine.
// Usage: node test/engine/fuzz/main.ts [--count N] [--seed FIRST] [--started N] [COMPONENT…]
import { parseArgs } from 'node:util'
import { createIngress } from '../../../src/ingress/create-ingress.ts'
import { log, testEngine } from '../engine-fixture.ts'
import { fuzz } from './fuzz-run.ts'
import { fuzzOriginals } from './originals.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '0' },
    started: { type: 'string', default: '300' },
  },
})
const startedAt = performance.now()
const before = process.memoryUsage().rss
await using engine = testEngine()
await using ingress = await createIngress({ log, host: '127.0.0.1', port: 0 })
const report = await fuzz({
  engine,
  ingress,
  originals: await fuzzOriginals(
    positionals.length > 0 ? positionals : ['hello-c', 'hello-cli-c', 'whoami-c', 'hello-rust'],
  ),
  count: Number(values.count),
  firstSeed: Number(values.seed),
  maxStarted: Number(values.started),
  onProgress: ({ tried, slowest }) => console.error(`${tried} tried; slowest ${slowest.ms} ms (seed ${slowest.seed})`),
})
const elapsedS = Math.round((performance.now() - startedAt) / 1000)
const rssGrowthMb = Math.round((process.memoryUsage().rss - before) / 2 ** 20)
console.log(JSON.stringify({ ...report, elapsedS, rssGrowthMb }, undefined, 2))
