import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { createOwnIdentity } from '../../src/identity/own-identity.ts'
import { createWorkloadAuthority, type WorkloadAuthority } from '../../src/identity/spire/workload-authority.ts'
import { parseSpiffeId, trustDomainOf } from '../../src/spiffe/spiffe-id.ts'
import { verifyX509Svid } from '../../src/spiffe/verify-x509-svid.ts'
import { testLog, until } from '../lattice/lattice-test-setup.ts'
import { type Spire, startSpire } from '../support/spire.ts'

const signal = AbortSignal.timeout(120_000)

describe('the identity of the process itself, by the Workload API of a real SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  const { log, events } = testLog('own-identity')
  let spire: Spire
  let authority: WorkloadAuthority
  before(async () => {
    spire = cleanup.use(await startSpire({ oidc: false }))
    authority = cleanup.use(createWorkloadAuthority({ socketPath: spire.workloadSocketPath, log, clock }))
  })
  after(() => cleanup.disposeAsync())
  const uid = `unix:uid:${process.getuid?.()}`
  const open = (spiffeId?: string) =>
    createOwnIdentity({ authority, clock, log, ...(spiffeId !== undefined && { spiffeId: parseSpiffeId(spiffeId) }) })

  test('gives a JWT-SVID, verified and kept, and an X.509-SVID with the bundle that vouches for it', async () => {
    using own = open()
    assert.equal(own.heldJwtSvid('nats'), undefined)
    const svid = await own.fetchJwtSvid('nats', { signal })
    assert.equal(svid.spiffeId, spire.hostSpiffeId)
    assert.equal(own.heldJwtSvid('nats')?.reveal(), svid.reveal())
    assert.equal(own.heldJwtSvid('vault'), undefined)
    const x509 = await own.fetchX509Svid({ signal })
    assert.equal(own.heldX509Svid(), x509)
    const bundleOf = authority.currentX509Bundle.bind(authority)
    const chain = x509.certificates.map((der) => new X509Certificate(der))
    assert.equal(verifyX509Svid(chain, { bundleOf, nowMs: Date.now() }).spiffeId, spire.hostSpiffeId)
    assert.equal(authority.currentX509Bundle(trustDomainOf(svid.spiffeId))?.authorities.length, 1)
  })

  test('of several SPIFFE IDs none is guessed: one is configured', async () => {
    const second = `spiffe://${spire.trustDomain}/second`
    const entry = await spire.createEntry({ spiffeId: second, parentId: spire.agentSpiffeId, selectors: [uid] })
    using undecided = open()
    await assert.rejects(undecided.fetchJwtSvid('nats', { signal }), (error: { code?: string; hint?: string }) => {
      return error.code === 'ERR_SVID_AMBIGUOUS' && error.hint?.includes('--own-spiffe-id') === true
    })
    using own = open(second)
    assert.equal((await own.fetchJwtSvid('nats', { signal })).spiffeId, second)
    assert.equal((await own.fetchX509Svid({ signal })).spiffeId, second)
    await spire.deleteEntry(entry)
    await until(
      'both are dropped once the entry is gone',
      () => {
        return own.heldJwtSvid('nats') === undefined && own.heldX509Svid() === undefined
      },
      30_000,
    )
  })

  test('goes on with what it holds while the agent is away, and with new ones once it is back', async () => {
    using own = open(spire.hostSpiffeId)
    const held = await own.fetchJwtSvid('nats', { signal })
    const x509 = await own.fetchX509Svid({ signal })
    await spire.killAgent()
    await until('it was noticed', () => events().some(({ event }) => event === 'spire.unavailable'))
    assert.equal(own.heldJwtSvid('nats')?.reveal(), held.reveal())
    assert.equal(own.heldX509Svid(), x509)
    await spire.startAgent()
    const fresh = await own.fetchJwtSvid('another', { signal })
    assert.equal(fresh.spiffeId, spire.hostSpiffeId)
  })

  test('says so when the socket is the other one', async () => {
    await using wrong = createWorkloadAuthority({ socketPath: spire.adminSocketPath, log, clock })
    await assert.rejects(wrong.diagnose({ signal }), { code: 'ERR_SPIRE_WRONG_SOCKET' })
  })
})
