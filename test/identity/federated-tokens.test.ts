import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { log } from '../engine/engine-fixture.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type IdentityProber, startIdentityProber } from './identity-prober.ts'

const audience = 'https://api.example.com'
const caller = 'spiffe://partner.org/caller'
const partnerDomain = parseTrustDomain('partner.org')

// Two real SPIREs with an agent each. The tokens are those of a component in the one, those who verify are guests in the other, and the
// trust domains federate as operators make it: by the partner's bundle endpoint (https_spiffe), and by entries that name it.
describe('tokens of a federated trust domain', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let partner: Spire
  let prober: IdentityProber
  let spireServer: (of: Spire, ...args: readonly string[]) => Promise<string>
  /** Of the component of the other trust domain, as its host gets it. */
  let fetchCallersToken: () => Promise<string>

  before(async () => {
    spire = cleanup.use(await startSpire({ oidc: false }))
    partner = cleanup.use(await startSpire({ trustDomain: 'partner.org', oidc: false, bundleEndpoint: true }))
    const programs = await buildServer('spire')
    spireServer = async ({ serverSocketPath }, ...args) => {
      const { exitCode, stdout, output } = await runProgram(join(programs, 'spire-server'), [
        ...args,
        ...['-socketPath', serverSocketPath],
      ])
      assert.equal(exitCode, 0, output)
      return stdout
    }
    await partner.createEntry({ spiffeId: caller, selectors: ['wasmcloud:component:caller'] })
    const { adminSocketPath } = partner
    const theirs = cleanup.use(createSpireAuthority({ adminSocketPath, log, clock: systemClock }))
    fetchCallersToken = async () => {
      const selectors = [{ type: 'wasmcloud', value: 'component:caller' }] as const
      const signal = AbortSignal.timeout(30_000)
      const [issued] = await theirs.fetchJwtSvids({ selectors, audiences: [audience] }, { signal })
      return issued?.token ?? assert.fail('the component of the partner has no token')
    }
    await spire.createEntry({
      spiffeId: 'spiffe://example.org/default/neighbour',
      selectors: ['wasmcloud:component:neighbour'],
    })
    prober = cleanup.use(await startIdentityProber(spire))
    await until('the agent is ready', async () => prober.authority.status().kind === 'ready')
  })
  after(() => cleanup.disposeAsync())

  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const limit = AbortSignal.timeout(30_000)
    while (!(await isSo())) {
      assert.ok(!limit.aborted, `not within 30 s: ${what}`)
      await sleep(50)
    }
  }

  const verifiedBy = async (component: string, token: string): Promise<string> =>
    (await prober.ask(component, 'verify', token, audience))[0] ?? ''
  const mint = (of: Spire, spiffeId: string): Promise<string> => of.mintJwtSvid({ spiffeId, audience })

  test('before the trust domains federate, a token of the other is not believed, at once', async () => {
    const token = await fetchCallersToken()
    assert.match(await verifiedBy('neighbour', token), /^error 1 the trust domain partner\.org is not known here/)
    await assert.rejects(prober.verifier.verify(token, audience), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  })

  test('once they federate, a guest whose entry names the other believes its component, and its neighbours do not', async () => {
    const file = join(cleanup.use(temporaryDirectory()).path, 'partner.json')
    writeFileSync(file, await spireServer(partner, 'bundle', 'show', '-format', 'spiffe'))
    await spireServer(
      spire,
      ...['federation', 'create', '-trustDomain', 'partner.org', '-bundleEndpointProfile', 'https_spiffe'],
      ...[
        '-bundleEndpointURL',
        partner.bundleEndpointUrl ?? '',
        '-endpointSpiffeID',
        'spiffe://partner.org/spire/server',
      ],
      ...['-trustDomainBundlePath', file, '-trustDomainBundleFormat', 'spiffe'],
    )
    await spireServer(
      spire,
      ...['entry', 'create', '-parentID', spire.hostSpiffeId, '-spiffeID', 'spiffe://example.org/default/api'],
      ...['-selector', 'wasmcloud:component:api', '-federatesWith', 'spiffe://partner.org'],
    )
    await until('the bundle is known', async () => prober.authority.currentJwtBundle(partnerDomain) !== undefined)
    const token = await fetchCallersToken()
    assert.match(await verifiedBy('api', token), /^spiffe:\/\/partner\.org\/caller until \d{10}$/)
    const foreign = /^error 1 the trust domain partner\.org is not federated with this component/
    assert.match(await verifiedBy('neighbour', token), foreign)
    assert.match(await verifiedBy('stranger', token), foreign)
    for (const component of ['api', 'neighbour']) {
      assert.match(
        await verifiedBy(component, await mint(spire, 'spiffe://example.org/x')),
        /^spiffe:\/\/example\.org\/x /,
      )
    }
  })

  test('a token is believed only by the keys of the trust domain that it names', async () => {
    const rename = (token: string, sub: string): string => {
      const [head, payload = '', signature] = token.split('.')
      const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub }
      return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
    }
    for (const [token, sub] of [
      [await fetchCallersToken(), 'spiffe://example.org/x'],
      [await mint(spire, 'spiffe://example.org/x'), caller],
    ] as const) {
      // Its key is not among those of the trust domain that the token now names.
      await assert.rejects(prober.verifier.verify(rename(token, sub), audience), { code: 'ERR_JWT_SVID_KEY_UNKNOWN' })
    }
  })

  test('the other trust domain changes its signing key under load, and no token of it fails', async () => {
    const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
    let latest = await mint(partner, caller)
    const oldKid = kidOf(latest)
    let [verified, byNewKey, ended] = [0, 0, false]
    const lanes = Array.from({ length: 4 }, async () => {
      while (!ended) {
        const token = latest
        const { spiffeId, keyId } = await prober.verifier.verify(token, audience)
        assert.equal(spiffeId, caller)
        verified += 1
        if (keyId !== oldKid) byNewKey += 1
        await sleep(1)
      }
    })
    try {
      // As SPIRE does it by itself: the next key is published long before anything is signed with it.
      const prepared = JSON.parse(await spireServer(partner, 'localauthority', 'jwt', 'prepare', '-output', 'json'))
      const newKid = prepared.prepared_authority.authority_id
      await until('the new key came by the bundle endpoint', async () => {
        await spireServer(spire, 'federation', 'refresh', '-id', 'spiffe://partner.org')
        return prober.authority.currentJwtBundle(partnerDomain)?.has(newKid) === true
      })
      await spireServer(partner, 'localauthority', 'jwt', 'activate', '-authorityID', newKid)
      await until('tokens are signed with the new key', async () => {
        latest = await mint(partner, caller)
        return kidOf(latest) === newKid
      })
      await until('many are verified', async () => byNewKey >= 500)
      assert.match(await verifiedBy('api', latest), /^spiffe:\/\/partner\.org\/caller /)
    } finally {
      ended = true
      await Promise.all(lanes)
    }
    assert.ok(verified > byNewKey, 'by both keys')
  })

  test('once the federation is removed, the other is believed no more as soon as the agent knows, without a restart', async () => {
    const token = await mint(partner, caller)
    await spireServer(spire, 'federation', 'delete', '-id', 'spiffe://partner.org')
    await spireServer(spire, 'bundle', 'delete', '-id', 'spiffe://partner.org', '-mode', 'dissociate')
    const refused = /^error 1 the trust domain partner\.org is not federated with this component/
    await until('it is refused', async () => refused.test(await verifiedBy('api', token)))
    assert.match(await verifiedBy('api', await mint(spire, 'spiffe://example.org/x')), /^spiffe:\/\/example\.org\/x /)
  })

  // SPIRE 1.15's agent drops no bundle that it has once had: whoever asks for no component learns of it after the agent's next start.
  test('once the agent is started anew, the trust domain is gone for the host itself too', async () => {
    const token = await mint(partner, caller)
    await spire.stopAgent()
    await spire.startAgent()
    const verify = () =>
      prober.verifier.verify(token, audience).then(
        () => 'believed',
        ({ code }: { code: string }) => code,
      )
    await until('it is unknown', async () => (await verify()) === 'ERR_JWT_SVID_UNTRUSTED')
    assert.match(await verifiedBy('neighbour', await mint(spire, 'spiffe://example.org/x')), /^spiffe:/)
  })
})
