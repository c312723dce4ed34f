import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { systemClock } from '../../src/clock/clock.ts'
import type { HeraldError } from '../../src/errors/herald-error.ts'
import { selectorsOf } from '../../src/identity/selectors.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import type { SvidAuthority } from '../../src/identity/svid-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { createLog } from '../../src/observability/log.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { startLog } from '../support/log.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { componentFacts } from './component-facts-sample.ts'

const output = startLog('identity')
const log = createLog({ level: 'debug', destination: { write: (line) => output.append(line) } })
const clock = systemClock
const within = (timeoutMs: number): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(timeoutMs) })
const facts = (componentName: string) => componentFacts({ componentName })
const idOf = (componentName: string): string => `spiffe://example.org/default/${componentName}`

/** An authority that counts its fetches, and a source on it. */
function use(spire: Spire) {
  const real = createSpireAuthority({
    adminSocketPath: spire.adminSocketPath,
    workloadSocketPath: spire.workloadSocketPath,
    log,
    clock,
  })
  let fetches = 0
  const authority: SvidAuthority = {
    kind: 'spire',
    fetchJwtSvids: (request, options) => {
      fetches += 1
      return real.fetchJwtSvids(request, options)
    },
    watchX509: (request, options) => real.watchX509(request, options),
    currentJwtBundle: real.currentJwtBundle,
    jwtBundle: real.jwtBundle,
    status: real.status,
    diagnose: (options) => real.diagnose(options),
    [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
  }
  const svids = createSvidSource({ authority, clock, log })
  return {
    authority,
    svids,
    fetches: () => fetches,
    async [Symbol.asyncDispose]() {
      await svids[Symbol.asyncDispose]()
      await authority[Symbol.asyncDispose]()
    },
  }
}

async function until<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 30_000,
): Promise<T> {
  for (const giveUpAt = Date.now() + timeoutMs; Date.now() < giveUpAt; await sleep(20)) {
    const answer = await ask()
    if (answer !== undefined) return answer
  }
  return assert.fail(`not within ${timeoutMs} ms: ${what}`)
}

/** `spire-server localauthority jwt prepare` and `activate`, without the time between them that an operator would give bundles to spread. */
async function activateNewJwtKey(spire: Spire): Promise<void> {
  const program = join(await buildServer('spire'), 'spire-server')
  const authority = async (...args: readonly string[]): Promise<string> => {
    const socket = ['-socketPath', spire.serverSocketPath, '-output', 'json']
    const { exitCode, output, stdout } = await runProgram(program, ['localauthority', 'jwt', ...args, ...socket])
    assert.equal(exitCode, 0, output)
    return stdout
  }
  const prepared = JSON.parse(await authority('prepare')) as { prepared_authority: { authority_id: string } }
  await authority('activate', '-authorityID', prepared.prepared_authority.authority_id)
}

suite('with a real SPIRE', () => {
  let spire: Spire
  before(async () => {
    spire = await startSpire()
  })
  after(() => spire[Symbol.asyncDispose]())

  test('a component gets the verified SVID of its own entry, and a hundred first calls are one call to SPIRE', async () => {
    await spire.createEntry({
      spiffeId: idOf('first'),
      selectors: ['wasmcloud:component:first', 'wasmcloud:namespace:shop'],
    })
    await using it = use(spire)
    const identity = it.svids.open(facts('first'))
    const got = await Promise.all(
      Array.from({ length: 100 }, () => identity.fetchJwtSvid(['sts.amazonaws.com'], within(10_000))),
    )
    assert.equal(got[0]!.svid.spiffeId, idOf('first'))
    assert.deepEqual(got[0]!.svid.audiences, ['sts.amazonaws.com'])
    assert.equal(got[0]!.svid.issuer, spire.issuer)
    assert.equal(new Set(got.map(({ svid }) => svid.reveal())).size, 1)
    assert.equal(it.fetches(), 1)
    assert.equal(it.authority.status().kind, 'ready')
    await it.authority.diagnose(within(5_000))
  })

  test('every fact can be what an entry asks for, and one wrong fact is enough to get nothing', async () => {
    await using it = use(spire)
    const component = componentFacts({
      componentName: 'facts',
      environment: 'production',
      hostLabels: { zone: 'eu-1' },
    })
    const selectors = selectorsOf(component).map(({ type, value }) => `${type}:${value}`)
    await spire.createEntry({ spiffeId: idOf('facts'), selectors })
    const { svid } = await it.svids.open(component).fetchJwtSvid(['a'], within(10_000))
    assert.equal(svid.spiffeId, idOf('facts'))
    for (const wrong of [
      { namespace: 'other' },
      { environment: undefined },
      { hostLabels: {} },
      { imageDigest: `sha256:${'00'.repeat(32)}` },
    ]) {
      await assert.rejects(it.svids.open({ ...component, ...wrong }).fetchJwtSvid(['a'], within(10_000)), {
        code: 'ERR_SPIRE_NO_IDENTITY_ISSUED',
      })
    }
  })

  test('a component without entry is told so, and an entry made later is usable within 2 s of the agent having it', async (t) => {
    await using it = use(spire)
    const identity = it.svids.open(facts('later'))
    await assert.rejects(identity.fetchJwtSvid(['a'], within(10_000)), (error: HeraldError) => {
      assert.equal(error.code, 'ERR_SPIRE_NO_IDENTITY_ISSUED')
      return true
    })
    await spire.createEntry({ spiffeId: idOf('later'), selectors: ['wasmcloud:component:later'] })
    const hasIt = performance.now()
    await until(
      'the new entry is used',
      () => identity.fetchJwtSvid(['a'], within(10_000)).catch(() => undefined),
      2_000,
    )
    t.diagnostic(`usable ${(performance.now() - hasIt).toFixed(0)} ms after the agent had the entry`)
  })

  test('a deleted entry is refused within seconds, by the X.509 stream', async (t) => {
    await using it = use(spire)
    const entryId = await spire.createEntry({
      spiffeId: idOf('deleted'),
      selectors: ['wasmcloud:component:deleted'],
      jwtSvidTtlS: 300,
    })
    const identity = it.svids.open(facts('deleted'))
    let evictedAt = 0
    identity.onChange((change) => {
      if (change.kind === 'evicted') evictedAt = performance.now()
    })
    await identity.fetchJwtSvid(['a'], within(10_000))
    await sleep(500)
    const deletedAt = performance.now()
    await spire.deleteEntry(entryId)
    const error = await until('it is refused', async () => {
      try {
        await identity.fetchJwtSvid(['a'], within(10_000))
        return undefined
      } catch (caught) {
        return caught as HeraldError
      }
    })
    const refusedMs = performance.now() - deletedAt
    t.diagnostic(
      `entry delete → evicted after ${(evictedAt - deletedAt).toFixed(0)} ms, refused after ${refusedMs.toFixed(0)} ms (SPIRE syncs every 1 s here)`,
    )
    assert.equal(error.code, 'ERR_SPIRE_NO_IDENTITY_ISSUED')
    assert.ok(evictedAt > 0)
    assert.ok(refusedMs < 5_000)
  })

  test('two entries that match are refused and named, or the configured SPIFFE ID is chosen', async () => {
    await spire.createEntry({ spiffeId: idOf('two'), selectors: ['wasmcloud:component:two'] })
    await spire.createEntry({ spiffeId: idOf('two-admin'), selectors: ['wasmcloud:component:two'] })
    await using it = use(spire)
    await assert.rejects(it.svids.open(facts('two')).fetchJwtSvid(['a'], within(10_000)), (error: HeraldError) => {
      assert.equal(error.code, 'ERR_SVID_AMBIGUOUS')
      assert.ok(error.message.includes(idOf('two')) && error.message.includes(idOf('two-admin')))
      return true
    })
    const chosen = it.svids.open(facts('two'), { spiffeId: parseSpiffeId(idOf('two-admin')) })
    assert.equal((await chosen.fetchJwtSvid(['a'], within(10_000))).svid.spiffeId, idOf('two-admin'))
  })

  test('renewal brings new tokens in the background, and no get fails or waits meanwhile', async () => {
    await spire.createEntry({ spiffeId: idOf('short'), selectors: ['wasmcloud:component:short'], jwtSvidTtlS: 6 })
    await using it = use(spire)
    const identity = it.svids.open(facts('short'))
    const tokens = new Set<string>()
    await identity.fetchJwtSvid(['a'], within(10_000))
    for (const endAt = Date.now() + 10_000; Date.now() < endAt; await sleep(5)) {
      // Within this turn of the event loop: whatever asked the agent, or verified a signature, would take longer.
      const held = await Promise.race([identity.fetchJwtSvid(['a'], within(1_000)), immediate('the get waits')])
      if (typeof held === 'string') assert.fail(held)
      const { svid } = held
      assert.ok(svid.expiresAt.getTime() > Date.now())
      tokens.add(svid.reveal())
    }
    assert.ok(tokens.size >= 3, `${tokens.size} tokens in 10 s`)
  })

  test('an agent that is killed and restarted under traffic costs no get, and its stream works again afterwards', async (t) => {
    const entryId = await spire.createEntry({
      spiffeId: idOf('steady'),
      selectors: ['wasmcloud:component:steady'],
      jwtSvidTtlS: 60,
    })
    await using it = use(spire)
    const identity = it.svids.open(facts('steady'))
    const changes: string[] = []
    identity.onChange((change) => changes.push(change.kind))
    await identity.fetchJwtSvid(['a'], within(10_000))
    let gets = 0
    const traffic = new AbortController()
    const flowing = (async () => {
      for (; !traffic.signal.aborted; await sleep(2)) {
        await identity.fetchJwtSvid(['a'], within(1_000))
        gets += 1
      }
    })()
    await spire.killAgent()
    await until('the loss is noticed', () => (it.authority.status().kind === 'unavailable' ? true : undefined))
    await assert.rejects(it.authority.diagnose(within(5_000)), { code: 'ERR_SPIRE_UNREACHABLE' })
    await sleep(3_000)
    // Not held, so it waits for the agent: begun while the agent is away, delivered when it is back.
    const cold = identity.fetchJwtSvid(['b'], within(10_000))
    await spire.startAgent()
    const backAt = performance.now()
    assert.equal((await cold).svid.spiffeId, idOf('steady'))
    t.diagnostic(
      `a fetch that had begun without an agent was answered ${(performance.now() - backAt).toFixed(0)} ms after its return`,
    )
    await sleep(3_000)
    traffic.abort()
    await flowing
    t.diagnostic(`${gets} gets, none failed; changes: ${changes.join(', ') || 'none'}`)
    assert.ok(!changes.includes('evicted'))
    await spire.deleteEntry(entryId)
    await until('the deletion is noticed', () => (changes.includes('evicted') ? true : undefined), 10_000)
  })

  test('an entry deleted while the agent was away is noticed when it is back', async () => {
    const entryId = await spire.createEntry({
      spiffeId: idOf('away'),
      selectors: ['wasmcloud:component:away'],
      jwtSvidTtlS: 300,
    })
    await using it = use(spire)
    const identity = it.svids.open(facts('away'))
    const changes: string[] = []
    identity.onChange((change) => changes.push(change.kind === 'evicted' ? change.reason : change.kind))
    await identity.fetchJwtSvid(['a'], within(10_000))
    await sleep(500)
    await spire.killAgent()
    await spire.deleteEntry(entryId)
    await spire.startAgent()
    await until('it is evicted', () => (changes.length > 0 ? true : undefined), 15_000)
    await assert.rejects(identity.fetchJwtSvid(['a'], within(10_000)), { code: 'ERR_SPIRE_NO_IDENTITY_ISSUED' })
  })

  test('the signing key is rotated under cold fetches, at once, and not one token fails verification', async (t) => {
    await spire.createEntry({ spiffeId: idOf('rotated'), selectors: ['wasmcloud:component:rotated'] })
    await using it = use(spire)
    const identity = it.svids.open(facts('rotated'))
    const keys = new Set<string | undefined>()
    const traffic = new AbortController()
    let fetches = 0
    let slowestMs = 0
    const flowing = (async () => {
      for (; !traffic.signal.aborted; await sleep(10)) {
        const began = performance.now()
        const { svid } = await identity.fetchJwtSvid([`rotation-${fetches++}`], within(10_000))
        slowestMs = Math.max(slowestMs, performance.now() - began)
        keys.add(svid.keyId)
      }
    })()
    await sleep(500)
    await activateNewJwtKey(spire)
    await sleep(3_000)
    traffic.abort()
    await flowing
    t.diagnostic(`${fetches} cold fetches with ${keys.size} keys, the slowest took ${slowestMs.toFixed(0)} ms`)
    assert.equal(keys.size, 2)
  })

  test('the Workload API socket is recognised as the wrong one', async () => {
    await using authority = createSpireAuthority({ adminSocketPath: spire.workloadSocketPath, log, clock })
    const request = { selectors: selectorsOf(facts('first')), audiences: ['a'] }
    await assert.rejects(authority.fetchJwtSvids(request, within(5_000)), (error: HeraldError) => {
      assert.equal(error.code, 'ERR_SPIRE_WRONG_SOCKET')
      assert.match(error.hint ?? '', /admin_socket_path/)
      return true
    })
  })

  test('a trust domain that is not federated has no bundle', async () => {
    await using it = use(spire)
    await assert.rejects(it.authority.jwtBundle(parseTrustDomain('other.org'), within(500)), {
      code: 'ERR_JWT_BUNDLE_UNKNOWN',
    })
  })

  test('disposal leaves no connection, stream or timer', async () => {
    const it = use(spire)
    await it.svids.open(facts('first')).fetchJwtSvid(['a'], within(10_000))
    await it[Symbol.asyncDispose]()
    await it[Symbol.asyncDispose]()
    await assert.rejects(
      it.authority.fetchJwtSvids({ selectors: selectorsOf(facts('first')), audiences: ['a'] }, within(2_000)),
      {
        code: 'ERR_SVID_SOURCE_CLOSED',
      },
    )
  })
})

test('an admin socket that is absent at the start and appears later is found within a moment', async (t) => {
  await using spire = await startSpire({ agent: false, oidc: false })
  await using it = use(spire)
  const identity = it.svids.open(facts('early'))
  const refusedAt = performance.now()
  await assert.rejects(identity.fetchJwtSvid(['a'], within(10_000)), { code: 'ERR_SVID_TIMEOUT' })
  assert.ok(performance.now() - refusedAt >= 4_900, 'a caller waits for 5 s')
  const status = it.authority.status()
  assert.ok(status.kind === 'unavailable' && status.error.code === 'ERR_SPIRE_UNREACHABLE')
  assert.match(status.error.describe(), /ENOENT.*start the SPIRE agent/)
  await spire.createEntry({ spiffeId: idOf('early'), selectors: ['wasmcloud:component:early'] })
  await spire.startAgent()
  const appearedAt = performance.now()
  const { svid } = await until('it is found', () => identity.fetchJwtSvid(['a'], within(10_000)).catch(() => undefined))
  assert.equal(svid.spiffeId, idOf('early'))
  t.diagnostic(`first token ${(performance.now() - appearedAt).toFixed(0)} ms after the socket appeared`)
  assert.equal(it.fetches(), 1)
})

test('a host that is no authorised delegate learns which SPIFFE ID to authorise', async () => {
  await using spire = await startSpire({ authorizedDelegates: [], oidc: false })
  await spire.createEntry({ spiffeId: idOf('x'), selectors: ['wasmcloud:component:x'] })
  await using it = use(spire)
  await assert.rejects(it.svids.open(facts('x')).fetchJwtSvid(['a'], within(10_000)), (error: HeraldError) => {
    assert.equal(error.code, 'ERR_SPIRE_DELEGATE_UNAUTHORIZED')
    assert.match(error.hint ?? '', new RegExp(`add "${spire.hostSpiffeId}" to authorized_delegates`))
    return true
  })
  await assert.rejects(it.authority.diagnose(within(5_000)), { code: 'ERR_SPIRE_DELEGATE_UNAUTHORIZED' })
})

test('a host without an entry of its own is told apart from a component without one', async () => {
  await using spire = await startSpire({ hostEntry: false, oidc: false })
  await using it = use(spire)
  await assert.rejects(it.svids.open(facts('x')).fetchJwtSvid(['a'], within(10_000)), {
    code: 'ERR_SPIRE_HOST_UNREGISTERED',
  })
  await assert.rejects(it.authority.diagnose(within(5_000)), { code: 'ERR_SPIRE_HOST_UNREGISTERED' })
})

test('no log line of these tests holds a token', () => {
  assert.ok(output.text().includes('spire.connected'))
  assert.ok(!output.text().includes('eyJ'))
})
