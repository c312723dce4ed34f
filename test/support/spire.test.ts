import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { type Spire, startSpire } from './spire.ts'

suite('a SPIRE of the tests', () => {
  let spire: Spire
  before(async () => {
    spire = await startSpire()
  })
  after(() => spire[Symbol.asyncDispose]())

  const verify = async (token: string, audience: string) => {
    const discovery = (await (await fetch(spire.discoveryUrl)).json()) as { issuer: string; jwks_uri: string }
    assert.equal(discovery.issuer, spire.issuer)
    const keys = createRemoteJWKSet(new URL(discovery.jwks_uri))
    return (await jwtVerify(token, keys, { issuer: discovery.issuer, audience, algorithms: ['ES256'] })).payload
  }

  test('its agent serves the admin and the Workload API sockets, in different folders', () => {
    assert.ok(statSync(spire.adminSocketPath).isSocket())
    assert.ok(statSync(spire.workloadSocketPath).isSocket())
  })

  test('a token that the server mints verifies through its OIDC discovery', async () => {
    const spiffeId = 'spiffe://example.org/default/api-gateway'
    const token = await spire.mintJwtSvid({ spiffeId, audience: 'sts.amazonaws.com', ttlS: 120 })
    const { sub, iat = 0, exp = 0 } = await verify(token, 'sts.amazonaws.com')
    assert.equal(sub, spiffeId)
    assert.equal(exp - iat, 120)
  })

  test('this process is attested as the host, and its token verifies too', async () => {
    const token = await spire.fetchHostJwtSvid('spiffe://example.org/ledger')
    const { sub, iat = 0, exp = 0 } = await verify(token, 'spiffe://example.org/ledger')
    assert.equal(sub, spire.hostSpiffeId)
    assert.ok(Math.abs(exp - iat - 60) <= 1, `the default lifetime is one minute, this one has ${exp - iat} s`)
  })

  test('a token is refused for another audience, and after a change of its payload', async () => {
    const token = await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/x', audience: 'a' })
    await assert.rejects(verify(token, 'b'), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
    const [header, payload = '', signature] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'spiffe://example.org/y' })).toString('base64url')
    await assert.rejects(verify(`${header}.${forged}.${signature}`, 'a'), {
      code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
    })
  })

  test('an entry is created, served by the agent, listed, deleted', async () => {
    const selectors = ['wasmcloud:component:x', 'wasmcloud:namespace:default']
    const id = await spire.createEntry({ spiffeId: 'spiffe://example.org/default/x', selectors, jwtSvidTtlS: 30 })
    assert.match(spire.agentLogs(), new RegExp(`msg="Entry created" entry=${id}`))
    const entry = (await spire.listEntries()).find((candidate) => candidate.id === id)
    assert.deepEqual(entry && { ...entry, selectors: entry.selectors.toSorted() }, {
      id,
      spiffeId: 'spiffe://example.org/default/x',
      parentId: spire.hostSpiffeId,
      selectors,
    })
    await spire.deleteEntry(id)
    assert.equal(
      (await spire.listEntries()).some((candidate) => candidate.id === id),
      false,
    )
    await until('the agent drops the entry', () =>
      new RegExp(`msg="Entry removed" entry=${id}`).test(spire.agentLogs()),
    )
  })

  test('an entry that SPIRE refuses is an error with the reason', async () => {
    const entry = { spiffeId: 'spiffe://elsewhere.org/x', selectors: ['wasmcloud:component:x'] }
    await assert.rejects(spire.createEntry(entry), /elsewhere\.org/)
  })

  test('a killed agent leaves its sockets behind and comes back with its identity; a stopped one removes them', async () => {
    await spire.killAgent()
    assert.ok(existsSync(spire.adminSocketPath))
    await spire.startAgent()
    assert.ok(await spire.fetchHostJwtSvid('a'))
    await spire.stopAgent()
    assert.equal(existsSync(spire.adminSocketPath), false)
    await spire.startAgent()
    assert.ok(await spire.fetchHostJwtSvid('a'))
  })

  test('a stopped server comes back with its entries and its keys', async () => {
    const token = await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/x', audience: 'a' })
    const before = await spire.listEntries()
    await spire.stopServer()
    await assert.rejects(spire.listEntries())
    await spire.startServer()
    assert.deepEqual(await spire.listEntries(), before)
    assert.equal((await verify(token, 'a')).sub, 'spiffe://example.org/x')
  })
})

test('without a host entry this process gets no identity', async () => {
  await using spire = await startSpire({ hostEntry: false, oidc: false })
  await assert.rejects(spire.fetchHostJwtSvid('a'), /no identity issued/)
})

test('an agent that is started later makes its admin socket then', async () => {
  await using spire = await startSpire({ agent: false, oidc: false, trustDomain: 'late.example' })
  assert.equal(existsSync(spire.adminSocketPath), false)
  await spire.createEntry({ spiffeId: 'spiffe://late.example/x', selectors: ['wasmcloud:component:x'] })
  await spire.startAgent()
  assert.ok(statSync(spire.adminSocketPath).isSocket())
})

test('disposal ends every process and removes the folder', async () => {
  const spire = await startSpire()
  const folder = spire.serverSocketPath.replace(/\/server\/api\.sock$/, '')
  assert.ok(existsSync(folder))
  await spire[Symbol.asyncDispose]()
  assert.equal(existsSync(folder), false)
  await assert.rejects(fetch(spire.discoveryUrl))
})

test('a SPIRE that cannot start is an error with the end of its log, and leaves nothing', async () => {
  await assert.rejects(
    startSpire({ trustDomain: 'Not A Trust Domain' }),
    /the server 'spire-server' ended before it was ready[\s\S]*trust domain/i,
  )
})

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 50) {
    assert.ok(waited < 20_000, `waited 20 s in vain until ${what}`)
    await sleep(50)
  }
}
