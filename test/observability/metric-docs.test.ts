import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { metricDocs, metricDocsPath } from '../../scripts/generate-metric-docs.ts'
import { type MetricDefinition, metricCatalog } from '../../src/observability/metric-catalog.ts'

test('docs/metrics.md is what the catalog of metrics says', async () => {
  const message = 'run: node_modules/.bin/node scripts/generate-metric-docs.ts'
  assert.ok((await readFile(metricDocsPath, 'utf8')) === metricDocs(), message)
})

test('every metric has a dotted name, a unit of UCUM, and a description that is a sentence', () => {
  for (const [name, { unit, description, kind }] of Object.entries<MetricDefinition>(metricCatalog)) {
    assert.match(name, /^(http|herald|nodejs|process|v8js)(\.[a-z0-9_]+)+$/)
    assert.match(unit, /^(s|By|1||\{[a-z]+\})$/, name)
    assert.match(description, /^[A-Z0-9].*[.]$/, name)
    if (kind === 'histogram') assert.equal(unit, 's', `${name}: the bounds of its buckets are seconds`)
  }
})
