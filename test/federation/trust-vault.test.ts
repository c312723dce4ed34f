import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { lastLines, runProgram } from '../../scripts/servers/run-program.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { parseBinding } from '../../src/federation/binding.ts'
import { exchange } from '../../src/federation/exchange.ts'
import { trustPolicy } from '../../src/federation/trust/trust-policy.ts'
import { trustScript } from '../../src/federation/trust/trust-script.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { forgeSubject } from './forge-subject.ts'
import { startVault, type Vault } from './start-vault.ts'

const component = 'spiffe://example.org/default/api-gateway'
const audience = 'https://vault.example.org'

suite('what trust vault prints, on a real Vault', () => {
  let spire: Spire
  let vault: Vault
  let role: string
  before(async () => {
    spire = await startSpire()
    vault = await startVault()
    await vault.admin('PUT', 'kv/shop', { username: 'shop', password: 'from-the-vault', ttl: '10m' })
    await vault.admin('PUT', 'kv/other', { password: 'not-yours', ttl: '10m' })
    const policy = trustPolicy('vault', {
      spiffeId: component,
      issuer: spire.issuer,
      audience,
      settings: { read: ['kv/shop'] },
    })
    using directory = temporaryDirectory()
    const applied = await runProgram('sh', ['-ec', trustScript(policy)], {
      cwd: directory.path,
      env: { ...process.env, PATH: `${vault.binDirectory}:${process.env.PATH}` },
    })
    assert.equal(applied.exitCode, 0, lastLines(applied.output))
    role = /auth\/jwt\/role\/(\S+)/.exec(trustScript(policy))?.[1] ?? ''
  })
  after(async () => {
    await vault?.[Symbol.asyncDispose]()
    await spire?.[Symbol.asyncDispose]()
  })

  const context = () => ({ fetch, clock: systemClock, signal: AbortSignal.timeout(30_000) })

  async function trade({
    spiffeId = component,
    path = 'kv/shop',
    aud = audience,
    alter = (token: string) => token,
  } = {}) {
    const token = alter(await spire.mintJwtSvid({ spiffeId, audience: aud }))
    const binding = parseBinding('db', { provider: 'vault', address: vault.url, role, audience, path })
    return exchange(binding, parseJwtSvid(token), context())
  }

  test('the one component reads the one secret with its SVID, and its lease is renewed and ended', async () => {
    const { credentials, lease } = await trade()
    const secret = credentials.reveal()
    assert.ok(secret.kind === 'fields')
    assert.deepEqual([secret.fields.username, secret.fields.password], ['shop', 'from-the-vault'])
    assert.ok(credentials.expiresAt.getTime() - Date.now() <= 600_000, 'no longer than the lease of the secret')
    assert.ok(lease, 'a lease came with it')
    const renewed = await lease.renew(context())
    assert.ok(renewed.expiresAt.getTime() >= credentials.expiresAt.getTime())
    await lease.revoke(context())
    await assert.rejects(lease.renew(context()), { code: 'ERR_FEDERATION_REFUSED' })
  })

  test('a lease whose token was revoked in Vault cannot be renewed, and a new one is given', async () => {
    const { lease } = await trade()
    await vault.admin('PUT', 'sys/leases/revoke-prefix/auth/jwt')
    await assert.rejects(lease?.renew(context()) ?? Promise.resolve(), { code: 'ERR_FEDERATION_REFUSED' })
    assert.equal((await trade()).credentials.kind, 'fields')
  })

  const refused = { code: 'ERR_FEDERATION_REFUSED' }

  test('another secret, a neighbour, another audience and an altered token are refused', async () => {
    await assert.rejects(trade({ path: 'kv/other' }), refused)
    await assert.rejects(trade({ spiffeId: 'spiffe://example.org/default/neighbour' }), refused)
    await assert.rejects(trade({ aud: 'https://other.example.org' }), refused)
    const alter = (token: string) => forgeSubject(token, component)
    await assert.rejects(trade({ spiffeId: 'spiffe://example.org/default/neighbour', alter }), refused)
  })
})
