import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { parseCredentialsConfig } from '../../src/capabilities/credentials/credentials-config.ts'
import { trustKinds } from '../../src/federation/trust/trust-builder.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { pages, printBlocks } from './docs-blocks.ts'

for (const page of pages) {
  const name = basename(page)
  const text = readFileSync(page, 'utf8')

  test(`docs/federation/${name}: every block is what herald trust prints (else: node test/federation/docs-blocks.ts --write)`, async () => {
    assert.equal(await printBlocks(text), text)
  })

  test(`docs/federation/${name}: every binding is one that a host accepts`, () => {
    for (const [, yaml = ''] of text.matchAll(/```yaml\n([\s\S]*?)```/g)) {
      // Policies of the NATS callout are read by test/docs/blocks.
      if (yaml.startsWith('grants:')) continue
      const { hostInterfaces } = parse(yaml) as { hostInterfaces: HostInterface[] }
      if (hostInterfaces.every(({ package: name }) => name !== 'credentials')) continue
      const entries = hostInterfaces.map((entry) => ({
        ...entry,
        config: Object.fromEntries(Object.entries(entry.config).map(([key, value]) => [key, String(value)])),
      }))
      assert.equal(parseCredentialsConfig(entries, { loopbackEndpoints: false }).length, entries.length)
    }
  })
}

test('there is a page for each kind that herald trust knows, and the overview links every page', () => {
  const names = pages.map((page) => basename(page))
  for (const kind of trustKinds) assert.ok(names.includes(`${kind}.md`), kind)
  const overview = readFileSync(pages.find((page) => basename(page) === 'README.md') ?? '', 'utf8')
  for (const name of names.filter((page) => page !== 'README.md')) assert.match(overview, new RegExp(`\\(${name}\\)`))
})
