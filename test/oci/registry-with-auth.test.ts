import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { componentBytes, signal, testClient } from './oci-test-setup.ts'
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
  await using tokens = await startTokenService()
  const jwks = join(directory.path, 'jwks.json')
  writeFileSync(jwks, JSON.stringify({ keys: [tokens.jwk] }))
  const auth = `auth:\n  token: { realm: "${tokens.url}/token", service: herald-registry, issuer: herald-test, jwks: ${JSON.stringify(jwks)}, signingalgorithms: [ES256] }`
  await using registry = await startRegistryWith(directory.path, auth)
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

/** A token service by distribution's "Token Authentication Specification": it knows ann, who may do everything below team/. */
async function startTokenService(): Promise<{ url: string; jwk: object; asked: string[] } & AsyncDisposable> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const kid = 'test-key'
  const asked: string[] = []
  const expected = `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
  const server = createServer((request, response) => {
    if (request.headers.authorization !== expected) return response.writeHead(401).end()
    const query = new URL(request.url ?? '', 'http://x').searchParams
    const scope = query.get('scope') ?? ''
    asked.push(scope)
    const [type = '', name = '', actions = ''] = scope.split(':')
    const access = name.startsWith('team/') ? [{ type, name, actions: actions.split(',') }] : []
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: 'herald-test',
      sub: 'ann',
      aud: query.get('service'),
      exp: now + 300,
      nbf: now - 5,
      iat: now,
      jti: randomUUID(),
      access,
    }
    const unsigned = [{ alg: 'ES256', typ: 'JWT', kid }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const signature = sign('sha256', Buffer.from(unsigned), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString(
      'base64url',
    )
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ token: `${unsigned}.${signature}`, expires_in: 300 }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' },
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
