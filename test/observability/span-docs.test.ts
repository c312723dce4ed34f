import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { spanDocsPath, withSpanTable } from '../../scripts/generate-span-docs.ts'
import { type SpanDefinition, spanCatalog } from '../../src/observability/span-catalog.ts'

test('the table of spans in docs/telemetry.md is what their catalog says', async () => {
  const page = await readFile(spanDocsPath, 'utf8')
  assert.ok(page === withSpanTable(page), 'run: node_modules/.bin/node scripts/generate-span-docs.ts')
})

test('every span of the catalog is made somewhere, has dotted names, and says when in a sentence without its dot', () => {
  const root = join(import.meta.dirname, '../../src')
  const sources = globSync('**/*.ts', { cwd: root, exclude: (name) => name === 'span-catalog.ts' })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n')
  for (const [type, { when, attributes }] of Object.entries<SpanDefinition>(spanCatalog)) {
    assert.match(type, /^[a-z]+(\.[a-z]+)+$/)
    assert.match(when, /^[a-z].*[^.]$/, type)
    assert.ok(sources.includes(`'${type}'`), `${type} is made by nothing`)
    for (const name of Object.keys(attributes)) assert.match(name, /^[a-z]+(\.[a-z_]+)+$/, `${type}: ${name}`)
  }
})
