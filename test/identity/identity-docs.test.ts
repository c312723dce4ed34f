import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { parseEgressConfig } from '../../src/capabilities/egress/egress-config.ts'
import { parseHeraldIdentityConfig } from '../../src/capabilities/herald-identity/herald-identity-config.ts'
import { parseIdentityConfig } from '../../src/capabilities/identity/identity-config.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/identity.md'), 'utf8')
const entries = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']): HostInterface => {
  const { config = {}, ...entry } = parse(yaml)
  return { name: undefined, version: undefined, ...entry, config }
})
const parsers: Record<string, (entry: HostInterface) => unknown> = {
  'wasmcloud:identity': (entry) => parseIdentityConfig('api', [entry]),
  'herald:identity': (entry) => parseHeraldIdentityConfig([entry]),
  'herald:egress': (entry) => parseEgressConfig([entry], { loopbackEndpoints: false }),
}

test('docs/identity.md shows an entry of each package', () => {
  assert.deepEqual(
    new Set(entries.map((entry) => `${entry.namespace}:${entry.package}`)),
    new Set(Object.keys(parsers)),
  )
})

for (const entry of entries) {
  test(`docs/identity.md: the entry ${entry.namespace}:${entry.package} ${entry.name ?? ''} is one that a host accepts`, () => {
    assert.ok(parsers[`${entry.namespace}:${entry.package}`]?.(entry))
  })
}
