import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { systemClock } from '../../src/clock/clock.ts'
import { parseBinding } from '../../src/federation/binding.ts'
import { exchange } from '../../src/federation/exchange.ts'
import { trustPolicy } from '../../src/federation/trust/trust-policy.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { startKeycloak } from './start-keycloak.ts'

const component = 'spiffe://example.org/default/api-gateway'

/** A SPIFFE bundle endpoint whose tokens have the shape of a SPIRE server's without jwt_issuer: Keycloak wants no iss. */
async function startBundleEndpoint() {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const bundle = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', use: 'jwt-svid' }], spiffe_refresh_hint: 300 }
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(bundle))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async mint(sub: string, aud: readonly string[], iss?: string) {
      const iat = Math.floor(Date.now() / 1000)
      const claims = { sub, aud: [...aud], iat, exp: iat + 120, ...(iss !== undefined && { iss }) }
      const signer = new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      return parseJwtSvid(await signer.sign(privateKey))
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

test('what trust keycloak prints lets the one component get a token of a real Keycloak with its SVID, and nobody else', async () => {
  await using endpoint = await startBundleEndpoint()
  await using keycloak = await startKeycloak()
  const realm = `${keycloak.url}/realms/shop`
  const policy = trustPolicy('keycloak', {
    spiffeId: component,
    audience: realm,
    settings: { realm: 'shop', 'bundle-endpoint': endpoint.url },
  })
  const [provider, client] = policy.steps.filter((step) => step.kind === 'file')
  await keycloak.admin('POST', '', JSON.stringify({ realm: 'shop', enabled: true }))
  // As the printed kcadm.sh commands do.
  await keycloak.admin('POST', '/shop/identity-provider/instances', provider?.text ?? '')
  await keycloak.admin('POST', '/shop/clients', client?.text ?? '')

  const binding = parseBinding('ledger', {
    provider: 'oidc',
    audience: realm,
    'token-endpoint': `${realm}/protocol/openid-connect/token`,
    grant: 'client-credentials',
    'client-assertion': 'jwt-spiffe',
  })
  const trade = async (spiffeId: string, audiences: readonly string[] = [realm], iss?: string) => {
    const svid = await endpoint.mint(spiffeId, audiences, iss)
    return exchange(binding, svid, { fetch, clock: systemClock, signal: AbortSignal.timeout(30_000) })
  }
  const secret = (await trade(component)).credentials.reveal()
  assert.ok(secret.kind === 'bearer')
  const claims = decodeJwt(secret.token)
  assert.deepEqual([claims.iss, claims.azp], [realm, component])

  const refused = { code: 'ERR_FEDERATION_REFUSED' }
  await assert.rejects(trade('spiffe://example.org/default/neighbour'), refused)
  await assert.rejects(trade('spiffe://example.com/default/api-gateway'), refused)
  await assert.rejects(trade(component, ['https://other']), refused)
  // What the relying party's description says of it, seen.
  await assert.rejects(trade(component, [realm, 'account']), /Multiple audiences not allowed/)
  await assert.rejects(trade(component, [realm], 'https://oidc.example.org'), refused)
  assert.equal((await trade(component, [realm], 'spiffe://example.org')).credentials.kind, 'bearer')
})
