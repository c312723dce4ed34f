import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { blobstoreKeys } from '../../src/capabilities/blobstore/blobstore-config.ts'
import { keyvalueKeys } from '../../src/capabilities/keyvalue/keyvalue-config.ts'
import { loggingKeys } from '../../src/capabilities/logging/logging-capability.ts'
import { messagingKeys } from '../../src/capabilities/messaging/messaging-config.ts'
import { secretsKeys } from '../../src/capabilities/secrets/secrets-capability.ts'
import { createBackedCapabilities } from '../../src/cli/backed-capabilities.ts'
import { createLog } from '../../src/observability/log.ts'

test('the table of docs/capabilities.md names every interface, backend and key there is, and no other', async () => {
  const svids = { open: () => assert.fail('not asked') }
  await using backed = createBackedCapabilities({
    log: createLog({ level: 'silent' }),
    svids,
    verifier: { verify: () => assert.fail('not asked') },
  })
  const byBackend = (keys: Readonly<Record<string, readonly string[]>>): [string, string[]][] =>
    [...new Set(Object.values(keys).flat())].map((backend) => [
      backend,
      Object.keys(keys).filter((key) => keys[key]?.includes(backend)),
    ])
  const expected: Record<string, [string, readonly string[]][]> = {
    config: [['the manifest', []]],
    logging: [['the host’s log', loggingKeys]],
    keyvalue: byBackend(keyvalueKeys),
    messaging: [['NATS', messagingKeys]],
    blobstore: byBackend(blobstoreKeys),
    secrets: [['mounted files', secretsKeys]],
    // Of no interface of its own: docs/calls.md.
    calls: [],
  }
  const rows = backed.all.flatMap(({ name, interfaces, handles = [] }) =>
    expected[name]!.map(([backend, keys], index) => ({
      interfaces: index === 0 ? [...interfaces, ...handles].sort() : [],
      backend,
      keys: [...keys].sort(),
    })),
  )
  const byText = (a: object, b: object) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
  assert.deepEqual(documented().sort(byText), rows.sort(byText))
})

function documented() {
  const text = readFileSync(new URL('../../docs/capabilities.md', import.meta.url), 'utf8')
  const table = text.slice(text.indexOf('<!-- table'), text.indexOf('## Several'))
  const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!).sort()
  return table
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^[ |-]+$/.test(line))
    .slice(1)
    .map((line) => {
      const [, interfaces = '', backend = '', keys = ''] = line.split('|')
      return {
        interfaces: quoted(interfaces),
        backend: backend.replaceAll('`', '').replace("'", '’').trim(),
        keys: quoted(keys),
      }
    })
}
