import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { SignJWT } from 'jose'
import { inboxPrefixOf, type Subject } from '../../src/lattice/subjects.ts'
import { runHerald, startHerald } from '../cli/herald-process.ts'
import { until, within } from '../lattice/lattice-test-setup.ts'
import { freePort } from '../support/free-port.ts'
import { startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type CalloutHouse, calloutSpiffeId, startCalloutHouse } from './callout-house.ts'

const subject = (text: string) => text as Subject
const orders = 'spiffe://example.org/shop/orders'
const billing = 'spiffe://example.org/shop/billing'
const operator = 'spiffe://example.org/operator'
const policy = {
  grants: [
    { 'spiffe-id': operator, account: 'HERALD', as: 'operator' },
    { 'spiffe-id': calloutSpiffeId, account: 'HERALD', as: 'callout' },
    {
      'spiffe-id': 'spiffe://example.org/shop/{component}',
      account: 'HERALD',
      publish: ['shop.{component}.>'],
      subscribe: ['shop.{component}.>', 'shop.all'],
    },
    { 'spiffe-id': billing, account: 'HERALD', publish: ['shop.all', 'shop.orders.bill'], subscribe: ['billing.>'] },
  ],
}

describe('the auth callout service, a real nats-server and a real SPIRE', () => {
  let house: CalloutHouse
  before(async () => {
    house = await startCalloutHouse({ policy })
    const selectors = [`unix:uid:${process.getuid?.()}`]
    await house.spire.createEntry({ spiffeId: operator, parentId: house.spire.agentSpiffeId, selectors })
  })
  after(() => house[Symbol.asyncDispose]())

  const connected = async (spiffeId: string, ttlS = 300) => {
    const token = await house.spire.mintJwtSvid({ spiffeId, audience: 'nats', ttlS })
    const client = house.client(spiffeId, token)
    await client.connected(within(20_000))
    return client
  }
  const refusals = () => house.serviceLog().split('audit.nats.refused').length - 1

  test('lets a workload in by its JWT-SVID, with the subjects of its grant and no others', async () => {
    await using sender = await connected(orders)
    await using receiver = await connected(billing)
    const heard: string[] = []
    await using _all = sender.subscribe(subject('shop.all'), { handle: ({ subject }) => void heard.push(subject) })
    await using _own = sender.subscribe(subject('shop.orders.bill'), {
      handle: (message) => message.reply(message.payload),
    })
    // May listen to nothing of the other, not even by a wildcard around it.
    await using _other = receiver.subscribe(subject('shop.orders.>'), { handle: () => void heard.push('stolen') })
    await until('NATS refused the subscription', () =>
      receiver.events().some(({ event }) => event === 'lattice.subscription-failed'),
    )
    await sender.flush(within(10_000))
    const answer = await receiver.request(subject('shop.orders.bill'), Buffer.from('12'), { timeoutMs: 10_000 })
    assert.equal(Buffer.from(answer).toString(), '12')
    receiver.publish(subject('shop.all'), Buffer.from('to all'))
    await until('it arrived', () => heard.includes('shop.all'))
    // Not its own: the server says so, and nothing arrives.
    sender.publish(subject('billing.stolen'), Buffer.from('x'))
    await until('NATS refused it', () => sender.events().some(({ event }) => event === 'lattice.error'))
    assert.ok(!heard.includes('stolen'))
  })

  test('lets nobody listen to the answers that another waits for', async () => {
    await using thief = await connected(orders)
    await using _1 = thief.subscribe(subject(`${inboxPrefixOf(billing)}.>`), { handle: () => {} })
    await using _2 = thief.subscribe(subject('_INBOX.>'), { handle: () => {} })
    await until(
      'both were refused',
      () => thief.events().filter(({ event }) => event === 'lattice.subscription-failed').length === 2,
    )
  })

  test('lets the operator ask hosts, and a workload not', async () => {
    await using asker = await connected(operator)
    await assert.rejects(asker.request(subject('herald.hosts'), Buffer.from('{}'), { timeoutMs: 10_000 }), {
      code: 'ERR_LATTICE_NO_RESPONDERS',
    })
    await using workload = await connected(orders)
    await assert.rejects(workload.request(subject('herald.hosts'), Buffer.from('{}'), { timeoutMs: 3_000 }))
    await until('NATS refused it', () => workload.events().some(({ event }) => event === 'lattice.error'))
  })

  test('tells whom it let in and whom not: herald audit, by an SVID of its own, probes and metrics', async () => {
    const token = await house.spire.mintJwtSvid({ spiffeId: orders, audience: 'nats' })
    await using early = house.client(orders, token)
    await early.connected(within(20_000))
    const as = ['--nats-svid', '--own-spiffe-id', operator, '--spire-workload-socket', house.spire.workloadSocketPath]
    const args = ['audit', '-f', '--since', '1h', '--nats', house.nats.url, ...as, '--output', 'json']
    await using audit = startHerald(args)
    const told = () =>
      audit.stdout
        .split('\n')
        .filter((line) => line.endsWith('}'))
        .map((line) => JSON.parse(line))
    const tokenId = createHash('sha256').update(token).digest('hex').slice(0, 16)
    await until('what it remembers is told', () => told().some((event) => event.tokenId === tokenId), 20_000)
    const granted = told().find((event) => event.tokenId === tokenId)
    assert.deepEqual(
      [granted.event, granted.spiffeId, granted.target, granted.method, granted.client],
      ['audit.nats.granted', orders, 'HERALD', 'jwt', '127.0.0.1 herald test'],
    )
    assert.match(granted.host, /^callout-/)
    const stranger = 'spiffe://example.org/stranger'
    const refused = await house.spire.mintJwtSvid({ spiffeId: stranger, audience: 'nats' })
    await using _ = house.client(stranger, refused)
    await until(
      'what comes is told',
      () => told().some(({ event, code }) => event === 'audit.nats.refused' && code === 'ERR_CALLOUT_DENIED'),
      20_000,
    )
    const page = async (path: string) => {
      const response = await fetch(`${house.serviceHealth()}${path}`, { signal: within(20_000).signal })
      return [response.status, await response.text()] as const
    }
    assert.equal((await page('/livez'))[0], 200)
    assert.equal((await page('/readyz'))[0], 200)
    const [, metrics] = await page('/metrics')
    assert.match(metrics, /^herald_callout_grants_total\{herald_callout_shown="jwt"\} [1-9]/m)
    assert.match(metrics, /^herald_callout_refusals_total\{error_type="ERR_CALLOUT_DENIED"\} [1-9]/m)
    assert.match(metrics, /^herald_lattice_connected 1$/m)
    assert.match(metrics, /^herald_audit_published_total [1-9]/m)
  })

  test('refuses every token that is not to be believed, each with its reason, and logs none', async () => {
    await using elsewhere = await startSpire({ trustDomain: 'other.org', agent: false, oidc: false })
    const { spire } = house
    const good = await spire.mintJwtSvid({ spiffeId: orders, audience: 'nats' })
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const kid = (JSON.parse(Buffer.from(good.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid
    const forged = await new SignJWT({ sub: orders, aud: ['nats'] })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey)
    const [head, , signature] = good.split('.') as [string, string, string]
    const claims = JSON.parse(Buffer.from(good.split('.')[1]!, 'base64url').toString()) as object
    const altered = `${head}.${Buffer.from(JSON.stringify({ ...claims, sub: billing })).toString('base64url')}.${signature}`
    const expiring = await spire.mintJwtSvid({ spiffeId: orders, audience: 'nats', ttlS: 1 })
    await until('it has expired', () => expiryMs(expiring) < Date.now())
    const cases: readonly (readonly [what: string, token: string, code: string])[] = [
      [
        'for another audience',
        await spire.mintJwtSvid({ spiffeId: orders, audience: 'vault' }),
        'ERR_JWT_SVID_UNTRUSTED',
      ],
      [
        'of an unknown trust domain',
        await elsewhere.mintJwtSvid({ spiffeId: 'spiffe://other.org/shop/orders', audience: 'nats' }),
        'ERR_JWT_SVID_UNTRUSTED',
      ],
      ['expired', expiring, 'ERR_JWT_SVID_EXPIRED'],
      ['signed by somebody else', forged, 'ERR_JWT_SVID_UNTRUSTED'],
      ['altered', altered, 'ERR_JWT_SVID_UNTRUSTED'],
      ['no JWT', 'secret', 'ERR_JWT_SVID_INVALID'],
      ['nothing at all', '', 'ERR_CALLOUT_DENIED'],
      [
        'of nobody in the policy',
        await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/stranger', audience: 'nats' }),
        'ERR_CALLOUT_DENIED',
      ],
      [
        'of a name that is two tokens of a subject',
        await spire.mintJwtSvid({ spiffeId: 'spiffe://example.org/shop/a.b', audience: 'nats' }),
        'ERR_CALLOUT_DENIED',
      ],
      [
        'of one below a granted one',
        await spire.mintJwtSvid({ spiffeId: `${orders}/more`, audience: 'nats' }),
        'ERR_CALLOUT_DENIED',
      ],
    ]
    for (const [what, token, code] of cases) {
      const before = house.serviceLog().length
      await using client = house.client(orders, token)
      await until(`${what}: refused by the service`, () =>
        house.serviceLog().slice(before).includes(`"event":"audit.nats.refused","code":"${code}"`),
      )
      await until(`${what}: told to the client`, () =>
        client
          .events()
          .some(({ event, code }) => event === 'lattice.connect-failed' && code === 'ERR_LATTICE_UNAUTHORIZED'),
      )
      assert.equal(client.state.kind, 'connecting', what)
    }
    for (const token of [good, ...cases.map(([, token]) => token).filter((token) => token.length > 10)]) {
      assert.ok(!house.serviceLog().includes(token.split('.')[2]!))
      assert.ok(!house.nats.logs().includes(token.split('.')[2]!))
    }
  })

  test('ends a connection when its SVID expires, and lets in who comes with a renewed one', async () => {
    const { spire } = house
    let token = await spire.mintJwtSvid({ spiffeId: orders, audience: 'nats', ttlS: 4 })
    const renewed = await spire.mintJwtSvid({ spiffeId: orders, audience: 'nats' })
    const states: string[] = []
    await using client = house.client(orders, '')
    await using renewing = house.clientOf(orders, () => token)
    renewing.onStateChange(({ kind }) => states.push(kind))
    await renewing.connected(within(20_000))
    token = renewed
    await until('the server ended it', () => states.includes('reconnecting'), 20_000)
    await until('it is back', () => renewing.state.kind === 'connected', 20_000)
    assert.equal(client.state.kind, 'connecting')
  })

  test('a service that is away leaves connections as they are, new ones wait, and all is well once it is back', async () => {
    await using before = await connected(orders)
    await house.killService()
    const heard: string[] = []
    await using _ = before.subscribe(subject('shop.orders.x'), { handle: ({ subject }) => void heard.push(subject) })
    before.publish(subject('shop.orders.x'), Buffer.from('1'))
    await until('who was connected goes on', () => heard.length === 1)
    const token = await house.spire.mintJwtSvid({ spiffeId: billing, audience: 'nats' })
    await using after = house.client(billing, token)
    await until('a new one is refused, and says why', () =>
      after
        .events()
        .some(({ event, code }) => event === 'lattice.connect-failed' && code === 'ERR_LATTICE_UNAUTHORIZED'),
    )
    await house.startService()
    await after.connected(within(20_000))
    assert.equal(before.state.kind, 'connected')
  })

  test('takes a changed policy over, and keeps the one before when it has a mistake', async () => {
    const refusedBefore = refusals()
    house.writePolicy({ grants: [{ 'spiffe-id': operator, acount: 'HERALD' }] })
    const mistake = /policy\.yaml:\d+:\d+ \(grants\[0\]\.acount\): unknown key/
    await until('the mistake is reported', () => mistake.test(house.serviceLog()), 20_000)
    await using still = await connected(orders)
    assert.equal(refusals(), refusedBefore)
    house.writePolicy({ grants: [{ 'spiffe-id': operator, account: 'HERALD', as: 'operator' }] })
    await until('it is taken over', () => house.serviceLog().includes('callout.policy-changed'), 20_000)
    await using late = house.client(orders, await house.spire.mintJwtSvid({ spiffeId: orders, audience: 'nats' }))
    await until('who is in it no more is refused', () => refusals() > refusedBefore)
    assert.deepEqual([still.state.kind, late.state.kind], ['connected', 'connecting'])
  })
})

test('a service without NATS and SPIRE is alive and not ready, and says what it waits for', async () => {
  using directory = temporaryDirectory()
  const keys = join(directory.path, 'keys')
  assert.equal((await runHerald(['nats-callout', 'keys', keys, '--account', 'A'])).exitCode, 0)
  const policyFile = join(directory.path, 'policy.yaml')
  writeFileSync(policyFile, JSON.stringify({ grants: [{ 'spiffe-id': orders, account: 'A' }] }))
  const nowhere = ['--nats', `nats://127.0.0.1:${await freePort()}`, '--spire-workload-socket', join(keys, 'none')]
  const args = ['--keys', keys, '--policy', policyFile, ...nowhere, '--health', '127.0.0.1:0']
  await using service = startHerald(['nats-callout', 'serve', ...args, '--log-format', 'json'])
  const listening = () => /"event":"health.listening","url":"([^"]+)"/.exec(service.stderr)?.[1]
  await until('probes are answered', () => listening() !== undefined, 20_000)
  assert.equal((await fetch(`${listening()}/livez`)).status, 200)
  const ready = await fetch(`${listening()}/readyz`)
  assert.equal(ready.status, 503)
  const { reasons } = (await ready.json()) as { reasons: string[] }
  assert.deepEqual(
    reasons.map((reason) => reason.split(':')[0]),
    ['spire', 'nats'],
  )
})

function expiryMs(token: string): number {
  return (JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { exp: number }).exp * 1000
}
