import assert from 'node:assert/strict'
import { createHash, verify as verifySignature, X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { HeraldIdentityAuditEvent } from '../../src/capabilities/herald-identity/herald-identity-audit.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { type IdentityProber, startIdentityProber } from './identity-prober.ts'

const own = 'spiffe://example.org/default/api-gateway'
const audience = 'https://api.example.com'

describe('herald:identity on a real SPIRE, asked by a guest in C', () => {
  const cleanup = new AsyncDisposableStack()
  const events: HeraldIdentityAuditEvent[] = []
  let spire: Spire
  let ask: IdentityProber['ask']

  before(async () => {
    spire = cleanup.use(await startSpire())
    await spire.createEntry({ spiffeId: own, selectors: ['wasmcloud:component:api-gateway'], waitForAgent: false })
    for (const name of ['two-a', 'two-b']) {
      const spiffeId = `spiffe://example.org/default/${name}`
      await spire.createEntry({ spiffeId, selectors: ['wasmcloud:component:two'] })
    }
    const prober = cleanup.use(await startIdentityProber(spire, (event) => events.push(event)))
    ask = prober.ask
  })
  after(() => cleanup.disposeAsync())

  test('a component learns its own SPIFFE ID without a token', async () => {
    assert.deepEqual(await ask('api-gateway', 'subject'), [own])
  })

  test('a component without an entry is told not-found, one of two entries that it must choose', async () => {
    assert.match((await ask('stranger', 'subject'))[0] ?? '', /^error 1 /)
    assert.match((await ask('two', 'subject'))[0] ?? '', /^error 2 several identities match/)
  })

  test('a token that somebody presents is verified, and its subject told', async () => {
    const token = await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/default/caller', audience })
    const [line = ''] = await ask('api-gateway', 'verify', token, audience)
    assert.match(line, /^spiffe:\/\/example\.org\/default\/caller until \d{10}$/)
  })

  test('what is not to be believed is refused with the reason', async () => {
    const token = await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/default/caller', audience })
    const [head = '', payload = '', signature = ''] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const forged = `${head}.${encode({ ...claims, sub: own })}.${signature}`
    const foreign = `${head}.${encode({ ...claims, sub: 'spiffe://elsewhere.org/x' })}.${signature}`
    for (const [presented, wanted, reason] of [
      [token, 'https://other.example.com', /^error 1 the token is for another audience/],
      [forged, audience, /^error 1 .*its signature is wrong/],
      [foreign, audience, /^error 1 the trust domain elsewhere\.org is not known here/],
      [`${encode({ alg: 'none' })}.${payload}.x`, audience, /^error 1 not a JWT-SVID: "alg"/],
      ['x', audience, /^error 1 not a JWT-SVID/],
    ] as const) {
      const [line = ''] = await ask('api-gateway', 'verify', presented, wanted)
      assert.match(line, reason)
      assert.ok(!line.includes(signature), 'no token in the answer')
    }
  })

  test('its X.509-SVID is what SPIRE issued, and a signature with it verifies; the key never came', async () => {
    const [about = '', signed = ''] = await ask('api-gateway', 'x509', 'to be signed')
    const [spiffeId, leafHex = ''] = about.split(' ')
    assert.equal(spiffeId, own)
    const leafDer = Buffer.from(leafHex, 'hex')
    const leaf = new X509Certificate(leafDer)
    assert.equal(leaf.subjectAltName, `URI:${own}`)
    const [algorithm, signature = '', digest] = signed.split(' ')
    assert.equal(algorithm, 'ecdsa-sha256')
    assert.equal(digest, createHash('sha256').update(leafDer).digest('hex'))
    const bytes = Buffer.from(signature, 'hex')
    assert.ok(verifySignature('sha256', Buffer.from('to be signed'), leaf.publicKey, bytes))
    assert.ok(!verifySignature('sha256', Buffer.from('something else'), leaf.publicKey, bytes))
  })

  test('every use is audited, without a token', () => {
    const kinds = new Set(events.map(({ kind }) => kind))
    assert.deepEqual(kinds, new Set(['refused', 'verified', 'unverified', 'certificates', 'signed']))
    assert.doesNotMatch(JSON.stringify(events), /eyJ/)
  })
})
