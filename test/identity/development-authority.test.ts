import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { systemClock } from '../../src/clock/clock.ts'
import { createDevelopmentAuthority } from '../../src/identity/development/development-authority.ts'
import { selectorsOf } from '../../src/identity/selectors.ts'
import { createLog } from '../../src/observability/log.ts'
import { componentFacts } from './component-facts-sample.ts'

const lines: string[] = []
const log = createLog({ destination: { write: (line) => lines.push(line) } })
const options = { log, clock: systemClock, inKubernetes: false }
const selectors = selectorsOf(componentFacts())
const signal = AbortSignal.timeout(10_000)

test('an OIDC library verifies a token of the development authority by discovery over HTTP', async () => {
  await using authority = await createDevelopmentAuthority(options)
  const response = await fetch(`${authority.issuer}/.well-known/openid-configuration`)
  const discovery = (await response.json()) as { issuer: string; jwks_uri: string }
  assert.equal(discovery.issuer, authority.issuer)
  assert.equal(discovery.jwks_uri, authority.jwksUri)
  const [issued] = await authority.fetchJwtSvids({ selectors, audiences: ['sts.amazonaws.com'] }, { signal })
  const { payload, protectedHeader } = await jwtVerify(
    issued?.token ?? '',
    createRemoteJWKSet(new URL(discovery.jwks_uri)),
    {
      issuer: discovery.issuer,
      audience: 'sts.amazonaws.com',
      subject: 'spiffe://development.local/default/api-gateway',
    },
  )
  assert.equal(protectedHeader.alg, 'ES256')
  assert.equal(payload.exp! - payload.iat!, 300)
  assert.deepEqual(payload.aud, ['sts.amazonaws.com'])
})

test('the lifetime, the port and the trust domain are as configured, and discovery stops with the authority', async () => {
  const authority = await createDevelopmentAuthority({
    ...options,
    jwtLifetimeMs: 20_000,
    trustDomain: 'laptop.development',
  })
  const [issued] = await authority.fetchJwtSvids({ selectors, audiences: ['a', 'b'] }, { signal })
  const { payload } = await jwtVerify(issued!.token, createRemoteJWKSet(new URL(authority.jwksUri)))
  assert.equal(payload.exp! - payload.iat!, 20)
  assert.equal(payload.sub, 'spiffe://laptop.development/default/api-gateway')
  assert.deepEqual(payload.aud, ['a', 'b'])
  await authority[Symbol.asyncDispose]()
  await authority[Symbol.asyncDispose]()
  await assert.rejects(fetch(authority.jwksUri))
})

test('only the two documents are served, and only to GET and HEAD', async () => {
  await using authority = await createDevelopmentAuthority(options)
  for (const path of ['/', '/keys/', '/..%2fkeys', '/keyss'])
    assert.equal((await fetch(authority.issuer + path)).status, 404, path)
  assert.equal((await fetch(authority.jwksUri, { method: 'POST' })).status, 405)
  assert.equal((await fetch(authority.jwksUri, { method: 'HEAD' })).status, 200)
  assert.ok(!(await (await fetch(authority.jwksUri)).text()).includes('"d"'))
})

test('it refuses to start in Kubernetes, with a trust domain that does not say development, and on a port in use', async () => {
  await assert.rejects(createDevelopmentAuthority({ ...options, inKubernetes: true }), {
    code: 'ERR_DEVELOPMENT_IN_KUBERNETES',
  })
  await assert.rejects(createDevelopmentAuthority({ ...options, trustDomain: 'example.org' }), {
    code: 'ERR_TRUST_DOMAIN_INVALID',
  })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await assert.rejects(createDevelopmentAuthority({ ...options, port }), { code: 'ERR_DEVELOPMENT_LISTEN_FAILED' })
  server.close()
})

for (const name of ['a/b', '..', 'a b', 'ä', 'a%2fb']) {
  test(`a component named ${JSON.stringify(name)} gets no development identity rather than another one's`, async () => {
    await using authority = await createDevelopmentAuthority(options)
    const named = selectorsOf(componentFacts({ componentName: name }))
    await assert.rejects(authority.fetchJwtSvids({ selectors: named, audiences: ['a'] }, { signal }), {
      code: 'ERR_DEVELOPMENT_NAME_UNUSABLE',
    })
  })
}

test('it logs that it is for development, and never a token', () => {
  assert.ok(lines.some((line) => line.includes('"event":"authority.development.started"')))
  assert.ok(!lines.join('').includes('eyJ'))
})
