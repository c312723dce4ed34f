import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { parseAllDocuments } from 'yaml'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { trustPolicy } from '../../src/federation/trust/trust-policy.ts'
import { startKubernetes } from '../support/kubernetes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const component = 'spiffe://example.org/default/api-gateway'
const audience = 'https://kubernetes.default.svc'

/** kube-apiserver takes https issuers only, so here the issuer is one of this test that signs tokens in the shape of SPIRE's. */
async function startHttpsIssuer() {
  const directory = temporaryDirectory()
  const path = (name: string) => join(directory.path, name)
  const made = await runProgram('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
    ...['-keyout', path('key.pem'), '-out', path('cert.pem')],
  ])
  assert.equal(made.exitCode, 0, made.output)
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const keys = [{ ...(await exportJWK(publicKey)), kid: 'k1' }]
  const ca = readFileSync(path('cert.pem'), 'utf8')
  let issuer = ''
  const server = createServer({ cert: ca, key: readFileSync(path('key.pem')) }, ({ url }, response) => {
    const document = { issuer, jwks_uri: `${issuer}/keys`, id_token_signing_alg_values_supported: ['ES256'] }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(url === '/keys' ? { keys } : document))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer = `https://localhost:${(server.address() as AddressInfo).port}`
  return {
    issuer,
    ca,
    mint: (sub: string, aud: string, lifetimeS = 300) => {
      const iat = Math.floor(Date.now() / 1000)
      return new SignJWT({ iss: issuer, sub, aud: [aud], iat, exp: iat + lifetimeS })
        .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
        .sign(privateKey)
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      directory[Symbol.dispose]()
    },
  }
}

test('what trust kubernetes prints lets the one component do the one thing at a real kube-apiserver, and nobody else', async () => {
  await using issuer = await startHttpsIssuer()
  const policy = trustPolicy('kubernetes', {
    spiffeId: component,
    issuer: issuer.issuer,
    audience,
    settings: { namespace: 'shop', allow: ['get,list=configmaps'], ca: issuer.ca },
  })
  const [authentication, role] = policy.steps
  assert.ok(authentication?.kind === 'file' && role?.kind === 'file')
  await using cluster = await startKubernetes({ authentication: authentication.text })
  await cluster.createNamespace('shop', 'restricted')
  await cluster.createNamespace('other', 'restricted')
  await cluster.apply(parseAllDocuments(role.text).map((document) => document.toJS() as object))

  // The server's certificate is its own; what is tested is how it takes the token.
  const statusOf = (path: string, token: string) =>
    new Promise<number>((resolve, reject) => {
      const options = { rejectUnauthorized: false, agent: false, headers: { authorization: `Bearer ${token}` } }
      get(`${cluster.url}${path}`, options, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      }).once('error', reject)
    })
  const configmaps = '/api/v1/namespaces/shop/configmaps'
  const mine = await issuer.mint(component, audience)
  // The authenticator reads the issuer's keys after the server is ready.
  let status = await statusOf(configmaps, mine)
  for (let count = 0; status === 401 && count < 100; count++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    status = await statusOf(configmaps, mine)
  }
  assert.equal(status, 200)
  assert.equal(await statusOf('/api/v1/namespaces/shop/secrets', mine), 403, 'no other resource')
  assert.equal(await statusOf('/api/v1/namespaces/other/configmaps', mine), 403, 'no other namespace')
  const neighbour = await issuer.mint('spiffe://example.org/default/neighbour', audience)
  assert.equal(await statusOf(configmaps, neighbour), 403, 'no other component')
  assert.equal(await statusOf(configmaps, await issuer.mint(component, 'other')), 401, 'no other audience')
  assert.equal(
    await statusOf(configmaps, await issuer.mint('spiffe://example.com/default/api-gateway', audience)),
    401,
    'no other trust domain',
  )
  assert.equal(await statusOf(configmaps, await issuer.mint(component, audience, 7200)), 401, 'no long-lived token')
})
