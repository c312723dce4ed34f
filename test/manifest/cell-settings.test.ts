import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCellSettings } from '../../src/manifest/cell-settings.ts'
import { ManifestError } from '../../src/manifest/manifest-error.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'

const entry = (config: Record<string, string>) => ({
  ...{ namespace: 'herald', package: 'cell', interfaces: ['settings'], version: undefined, name: undefined },
  config,
})

test('settings of a cell are read from its entry, and absent without one', () => {
  assert.deepEqual(parseCellSettings([]), {})
  assert.deepEqual(parseCellSettings([entry({ 'idle-timeout': '1.5s' })]), { idleTimeoutMs: 1_500 })
  assert.deepEqual(parseCellSettings([entry({ 'idle-timeout': 'never' })]), { idleTimeoutMs: Number.POSITIVE_INFINITY })
  assert.deepEqual(parseCellSettings([entry({ 'cpu-limit': '200m' })]), { cpuLimitMillicores: 200 })
  assert.deepEqual(parseCellSettings([entry({ isolation: 'process' })]), { isolation: 'process' })
  assert.deepEqual(parseCellSettings([entry({ listen: ':80' })]), { listen: { host: '0.0.0.0', port: 80 } })
})

for (const config of [
  { 'idle-timeout': '30' },
  { 'idle-timeout': '25h' },
  { 'idle-timeout': '' },
  { 'cpu-limit': '9m' },
  { 'cpu-limit': '1001m' },
  { 'cpu-limit': '200' },
  { listen: '9000-9001' },
  { isolation: 'container' },
  { isolation: '' },
  { listen: 'example.org:80' },
  { timeout: '1s' },
  { constructor: '1' },
  { __proto__x: '1' },
] as Record<string, string>[]) {
  const text = JSON.stringify(config)

  test(`${text} is refused, with the key`, () => {
    const [key] = Object.keys(config)
    assert.throws(() => parseCellSettings([entry(config)]), new RegExp(`${key}`))
    const manifest = `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: Workload
metadata: {name: hello}
spec:
  components: [{name: api, image: ghcr.io/o/hello:1}]
  hostInterfaces: [{namespace: herald, package: cell, interfaces: [settings], config: ${text}}]
`
    assert.throws(
      () => parseManifest(manifest, { file: 'w.yaml', baseDirectory: '/', isFile: () => true }),
      (error) => error instanceof ManifestError && error.describe().includes(String(key)),
    )
  })
}

test('two entries are refused: a workload has one cell', () => {
  assert.throws(() => parseCellSettings([entry({}), entry({})]), /more than once/)
})
