import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { readPullSecret } from '../../src/oci/pull-secrets.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { signal } from './oci-test-setup.ts'

const dockerConfig = (password: string) =>
  JSON.stringify({ auths: { 'ghcr.io': { auth: Buffer.from(`ann:${password}`).toString('base64') } } })
const read = (directory: string, name: string, registry = 'ghcr.io') =>
  readPullSecret(directory, { name, registry, signal: signal() })

test('a secret is a file of its name, or a mounted Secret, which goes first', async () => {
  using directory = temporaryDirectory()
  writeFileSync(join(directory.path, 'one.json'), dockerConfig('file'))
  assert.deepEqual(await read(directory.path, 'one'), { kind: 'basic', username: 'ann', password: 'file' })
  mkdirSync(join(directory.path, 'one'))
  writeFileSync(join(directory.path, 'one', '.dockerconfigjson'), dockerConfig('mounted'))
  assert.deepEqual(await read(directory.path, 'one'), { kind: 'basic', username: 'ann', password: 'mounted' })
})

for (const name of ['', '..', '../one', 'a/b', '/etc/passwd', 'A', `x${'y'.repeat(300)}`, 'a\0b', '.hidden']) {
  test(`${JSON.stringify(name.slice(0, 20))} is no name of a secret, and no file is read for it`, () =>
    assert.rejects(
      read('/', name),
      (error) => isHeraldError(error, 'ERR_OCI_CREDENTIALS_INVALID') && /cannot be the name/.test(error.message),
    ))
}

test('no such secret, no credentials for the registry, helpers and broken files are said, without what is in them', async () => {
  using directory = temporaryDirectory()
  writeFileSync(join(directory.path, 'one.json'), dockerConfig('hush-1'))
  writeFileSync(join(directory.path, 'helper.json'), JSON.stringify({ credHelpers: { 'ghcr.io': 'desktop' } }))
  writeFileSync(join(directory.path, 'broken.json'), '{"auths": hush-2')
  for (const [name, registry, expected] of [
    ['two', 'ghcr.io', /no imagePullSecret "two" in .* — put its \.dockerconfigjson there as two\.json/],
    ['one', 'quay.io', /one\.json has no credentials for quay\.io/],
    ['helper', 'ghcr.io', /names the credential helper docker-credential-desktop/],
    ['broken', 'ghcr.io', /broken\.json is not JSON/],
  ] as const) {
    await assert.rejects(read(directory.path, name, registry), (error) => {
      assert.ok(isHeraldError(error, 'ERR_OCI_CREDENTIALS_INVALID'))
      assert.match(error.describe(), expected)
      assert.doesNotMatch(error.describe(), /hush/)
      return true
    })
  }
})
