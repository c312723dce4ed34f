import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { BenchReport } from '../../bench/result.ts'
import { performanceDocs, performanceDocsPath, savedReports } from '../../scripts/generate-performance-docs.ts'

test('docs/performance.md is what the saved results of the benches say', async () => {
  const message = 'run: node_modules/.bin/node scripts/generate-performance-docs.ts'
  assert.ok((await readFile(performanceDocsPath, 'utf8')) === performanceDocs(savedReports()), message)
})

test('a goal that is met, one that is not, and one that was not measured are told apart on the page', () => {
  const machine = { cpu: 'CPU', cores: 2, memoryGiB: 24, os: 'linux', node: '26.0.0', v8: '14' }
  const spread = { min: 1, max: 3, samples: 3 }
  const report: BenchReport = {
    bench: 'engine',
    date: '2026-01-02T03:04:05.000Z',
    command: 'npm run bench -- engine',
    machine,
    results: [
      { measure: 'fast', unit: 'ratio', median: 2, ...spread, goal: { comparison: '≥', value: 2 } },
      { measure: 'slow', unit: 'ms', median: 2, ...spread, goal: { comparison: '≤', value: 1 } },
      { measure: 'absent', notRun: 'no such peer here', goal: { comparison: '≥', value: 1 } },
      { measure: 'only told', unit: 'ms', median: 2, ...spread },
    ],
  }
  const page = performanceDocs([report])
  assert.match(page, /^1 of 3 goals are met\. Not met:$/m)
  assert.match(page, /^\| fast \| 2\.00 ratio \| 1\.00 … 3\.00 \| 3 \| ≥ 2, met \|$/m)
  assert.match(page, /^\| slow \| 2\.00 ms \| 1\.00 … 3\.00 \| 3 \| ≤ 1, \*\*not met\*\* \|$/m)
  assert.match(page, /^\| engine \| slow \| 2\.00 ms \| ≤ 1, \*\*not met\*\* \| not profiled yet \|$/m)
  assert.match(page, /^\| absent \| not run \| no such peer here \| {2}\| ≥ 1 \|$/m)
  assert.match(page, /^\| only told \| 2\.00 ms \| 1\.00 … 3\.00 \| 3 \| {2}\|$/m)
  assert.match(page, /`npm run bench -- engine` on 2026-01-02: CPU, 2 cores, 24 GiB, linux, Node 26\.0\.0, V8 14/)
})
