import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { componentBytes, signal, testClient } from './oci-test-setup.ts'
import { startTokenService } from './registry-token-service.ts'
import { startPrivateRegistry, startRegistryWith } from './registry-with-auth.ts'

// The real registry 3.1.1 with its own two kinds of authentication.
const credentials = { kind: 'basic', username: 'ann', password: 'pa55' } as const
const wrong = { ...credentials, password: 'pa56' } as const
const bytes = componentBytes(50_000, 61)

test('the real registry with Basic authentication: push and pull with the credentials, nothing without', async () => {
  using directory = temporaryDirectory()
  await using registry = await startPrivateRegistry(directory.path)
  const client = await testClient()
  const reference = `${registry.host}/team/private:1`
  await client.push(reference, bytes, { credentials, signal: signal() })
  assert.equal(Buffer.compare((await client.pull(reference, { credentials, signal: signal() })).bytes, bytes), 0)
  for (const own of [undefined, wrong]) {
    await assert.rejects(client.pull(reference, { credentials: own, signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'),
    )
    await assert.rejects(client.push(reference, bytes, { credentials: own, signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'),
    )
  }
})

test('the real registry with token authentication: the token service is asked once for each scope, with the credentials', async () => {
  using directory = temporaryDirectory()
  const expected = `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
  // It knows ann, who may do everything below team/.
  await using tokens = await startTokenService(({ headers }) =>
    headers.authorization === expected
      ? { subject: 'ann', actions: (name, wanted) => (name.startsWith('team/') ? wanted : []) }
      : { refused: 401 },
  )
  const jwks = join(directory.path, 'jwks.json')
  writeFileSync(jwks, JSON.stringify({ keys: [tokens.jwk] }))
  await using registry = await startRegistryWith(directory.path, tokens.registryAuth(jwks))
  const client = await testClient()
  const reference = `${registry.host}/team/private:1`
  await client.push(reference, bytes, { credentials, signal: signal() })
  assert.equal(Buffer.compare((await client.pull(reference, { credentials, signal: signal() })).bytes, bytes), 0)
  assert.deepEqual(tokens.asked, ['repository:team/private:pull,push', 'repository:team/private:pull'])
  await assert.rejects(client.pull(reference, { credentials: wrong, signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'),
  )
  // Whom the service gives a token without the right to pull.
  await assert.rejects(
    client.pull(`${registry.host}/others/private:1`, { credentials, signal: signal() }),
    (error) => isHeraldError(error) && /^ERR_OCI_(UNAUTHORIZED|FORBIDDEN)$/.test(error.code),
  )
})
