import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createJwtVerifier, type JwtVerifier } from '../../src/identity/jwt-verifier.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import type { SvidAuthority } from '../../src/identity/svid-authority.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { log } from '../engine/engine-fixture.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const audience = 'https://api.example.com'
const caller = { spiffeId: 'spiffe://partner.org/caller', audience }

// Two real SPIREs. The host's learns of the partner's keys as operators make it: by its bundle, and an entry that federates with it.
describe('tokens of a federated trust domain', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let partner: Spire
  let authority: SvidAuthority
  let verifier: JwtVerifier
  let spireServer: (of: Spire, ...args: readonly string[]) => Promise<string>

  before(async () => {
    spire = cleanup.use(await startSpire({ oidc: false }))
    partner = cleanup.use(await startSpire({ trustDomain: 'partner.org', oidc: false, agent: false }))
    const programs = await buildServer('spire')
    spireServer = async ({ serverSocketPath }, ...args) => {
      const { exitCode, stdout, output } = await runProgram(join(programs, 'spire-server'), [
        ...args,
        ...['-socketPath', serverSocketPath],
      ])
      assert.equal(exitCode, 0, output)
      return stdout
    }
    authority = cleanup.use(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock: systemClock }))
    verifier = createJwtVerifier({ authority, clock: systemClock })
    for (let tries = 0; tries < 100 && authority.status().kind !== 'ready'; tries++) await sleep(50)
  })
  after(() => cleanup.disposeAsync())

  test('before the trust domains federate, a token of the other is not believed, at once', async () => {
    const verified = verifier.verify(await partner.mintJwtSvid(caller), audience)
    await assert.rejects(verified, { code: 'ERR_JWT_SVID_UNTRUSTED', message: /partner\.org is not known here/ })
  })

  test('once they federate it is, and only by its own trust domain’s keys', async () => {
    const file = join(cleanup.use(temporaryDirectory()).path, 'partner.json')
    writeFileSync(file, await spireServer(partner, 'bundle', 'show', '-format', 'spiffe'))
    await spireServer(spire, 'bundle', 'set', '-format', 'spiffe', '-id', 'spiffe://partner.org', '-path', file)
    await spireServer(
      spire,
      ...['entry', 'create', '-parentID', spire.hostSpiffeId, '-spiffeID', 'spiffe://example.org/default/api'],
      ...['-selector', 'wasmcloud:component:api', '-federatesWith', 'spiffe://partner.org'],
    )
    const partnerDomain = parseTrustDomain('partner.org')
    for (let tries = 0; tries < 200 && authority.currentJwtBundle(partnerDomain) === undefined; tries++) await sleep(50)

    const svid = await verifier.verify(await partner.mintJwtSvid(caller), audience)
    assert.equal(svid.spiffeId, caller.spiffeId)
    assert.equal(
      (await verifier.verify(await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/x', audience }), audience))
        .spiffeId,
      'spiffe://example.org/x',
    )

    // The own key under a foreign name, and the foreign key under an own name.
    const rename = (token: string, sub: string): string => {
      const [head, payload = '', signature] = token.split('.')
      const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub }
      return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
    }
    for (const [token, sub] of [
      [await partner.mintJwtSvid(caller), 'spiffe://example.org/x'],
      [await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/x', audience }), caller.spiffeId],
    ] as const) {
      // Its key is not among those of the trust domain that the token now names.
      await assert.rejects(verifier.verify(rename(token, sub), audience), { code: 'ERR_JWT_SVID_KEY_UNKNOWN' })
    }
  })

  // SPIRE 1.15's agent drops no bundle that it has once had: a removed trust domain is gone for whoever asks it from its next start on.
  test('once the trust domain is removed and the agent started anew, its tokens are believed no more, and the own ones still are', async () => {
    const token = await partner.mintJwtSvid(caller)
    await verifier.verify(token, audience)
    await spireServer(spire, 'bundle', 'delete', '-id', 'spiffe://partner.org', '-mode', 'dissociate')
    await spire.stopAgent()
    await spire.startAgent()
    const limit = AbortSignal.timeout(30_000)
    const isBelieved = () =>
      verifier.verify(token, audience).then(
        () => true,
        (error: { code?: string }) => error.code !== 'ERR_JWT_SVID_UNTRUSTED',
      )
    while (await isBelieved()) {
      assert.ok(!limit.aborted, 'a token of a removed trust domain is still believed')
      await sleep(50)
    }
    const own = await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/x', audience })
    assert.equal((await verifier.verify(own, audience)).spiffeId, 'spiffe://example.org/x')
  })
})
