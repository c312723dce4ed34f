import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { readDocumentedValues, withValuesTable } from '../../scripts/generate-values-docs.ts'

const chart = join(import.meta.dirname, '../../charts/herald-platform')
const read = (name: string) => readFileSync(join(chart, name), 'utf8')

test('the table of values in the README is what values.yaml says', () => {
  assert.equal(
    read('README.md'),
    withValuesTable(read('README.md'), read('values.yaml')),
    'run: node scripts/generate-values-docs.ts',
  )
})

test('a value without a comment is named', () => {
  const yaml = 'a:\n  # -- What b means,\n  # over two lines.\n  b: 1\n  c: 2\n'
  assert.throws(() => readDocumentedValues(yaml), /no comment .*: a\.c$/)
  assert.deepEqual(readDocumentedValues(yaml.replace('  c: 2\n', '')), [
    { key: 'a.b', default: '1', meaning: 'What b means, over two lines.' },
  ])
})

type Schema = {
  readonly properties?: Record<string, Schema>
  readonly additionalProperties?: unknown
  readonly $ref?: string
}

test('the schema knows every value, and no other', () => {
  const schema = JSON.parse(read('values.schema.json')) as Schema
  const values = parse(read('values.yaml')) as Record<string, unknown>
  // The sub-charts' values are theirs.
  for (const name of ['nats', 'runtime-operator', 'global']) delete values[name]
  const compare = (at: string, value: unknown, { properties, additionalProperties }: Schema) => {
    if (properties === undefined) return
    assert.equal(additionalProperties, false, `${at} lets unknown keys pass`)
    assert.deepEqual(
      Object.keys(value as object).sort(),
      Object.keys(properties)
        .filter((key) => at !== '' || key in values)
        .sort(),
      `keys of ${at || 'the chart'}`,
    )
    for (const [key, child] of Object.entries(value as object)) compare(`${at}.${key}`, child, properties[key] ?? {})
  }
  compare('', values, schema)
})
