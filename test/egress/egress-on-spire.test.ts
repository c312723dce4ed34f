import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/clock/clock.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { log } from '../engine/engine-fixture.ts'
import { type StandInRequest, startHttpStandIn } from '../relying-parties/http-stand-in.ts'
import { createOidcRelyingParty } from '../relying-parties/oidc-relying-party.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { type EgressHouse, openEgressHouse, requestBodySize, requestDenied } from './egress-house.ts'

const audience = 'https://api.example.com'
const subject = 'spiffe://example.org/default/api-gateway'

describe('outgoing requests that the host signs, on a real SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let minio: Minio
  let api: { url: string; close(): Promise<void> }
  let other: { url: string; close(): Promise<void> }
  let house: EgressHouse
  const seenByOther: StandInRequest[] = []
  const seenByApi: StandInRequest[] = []

  before(async () => {
    spire = cleanup.use(await startSpire())
    await spire.createEntry({ spiffeId: subject, selectors: ['wasmcloud:component:api-gateway'] })
    minio = cleanup.use(await startMinio({ oidcConfigUrl: spire.discoveryUrl }))
    await minio.makeBucket('letters')
    await minio.putObject('letters', 'a folder/greeting & more.txt', 'hello from the bucket')
    const party = createOidcRelyingParty([{ issuer: spire.issuer, clientIds: [audience] }])
    // Believes whoever the issuer vouches for, and says who it was; /moved leads elsewhere.
    api = await startHttpStandIn(async (request) => {
      seenByApi.push(request)
      const [scheme, token = ''] = (request.headers.authorization ?? '').split(' ')
      if (scheme !== 'Bearer') return { status: 401, headers: {}, body: 'who are you?' }
      if (request.target === '/never') return { status: 401, headers: {}, body: 'not you' }
      const { subject } = await party.verify(token)
      if (request.target === '/moved') return { status: 302, headers: { location: `${other.url}/loot` }, body: '' }
      return { status: 200, headers: {}, body: `${subject} sent ${request.body.length}` }
    })
    cleanup.defer(() => api.close())
    other = await startHttpStandIn(async (request) => {
      seenByOther.push(request)
      return { status: 200, headers: {}, body: JSON.stringify(Object.keys(request.headers)) }
    })
    cleanup.defer(() => other.close())
    const minioConfig = {
      host: minio.endpoint,
      'sigv4-service': 's3',
      provider: 'aws',
      'role-arn': minio.roleArn,
      region: minio.region,
      'sts-endpoint': minio.endpoint,
    }
    house = cleanup.use(
      await openEgressHouse(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock: systemClock }), {
        api: { host: api.url, 'bearer-audience': audience },
        letters: minioConfig,
      }),
    )
  })
  after(() => cleanup.disposeAsync())

  test('a component without any identity import is known to the API by its SVID, and never sees it', async () => {
    const answer = await house.send({ url: `${api.url}/hello` })
    assert.deepEqual(answer, { status: 200, error: undefined, body: `${subject} sent 0`, sees: [] })
  })

  test('a body is streamed behind the signed head, whether it is written before or after', async () => {
    for (const bodyWritten of ['before', 'after'] as const) {
      const answer = await house.send({ method: 'POST', url: `${api.url}/letters`, body: 'dear host', bodyWritten })
      assert.equal(answer.body, `${subject} sent 9`)
    }
    const long = await house.send({ method: 'POST', url: `${api.url}/letters`, body: '*700000', bodyWritten: 'after' })
    assert.equal(long.body, `${subject} sent 700000`)
  })

  test('an Authorization of the guest is refused, and nothing is sent', async () => {
    const before = seenByApi.length
    for (const name of ['authorization', 'Authorization', 'AUTHORIZATION']) {
      const answer = await house.send({ url: `${api.url}/hello`, headers: { [name]: 'Bearer mine' } })
      assert.equal(answer.error, requestDenied, name)
    }
    assert.equal(seenByApi.length, before)
  })

  test('an origin without an entry gets no credential, nor does the target of a redirect', async () => {
    const moved = await house.send({ url: `${api.url}/moved` })
    assert.equal(moved.status, 302, 'the host follows none')
    const answer = await house.send({ url: `${other.url}/loot` })
    assert.equal(answer.status, 200)
    assert.equal(seenByOther.length, 1)
    assert.equal(seenByOther[0]?.headers.authorization, undefined)
  })

  test('the same address by another name, port or scheme is another origin', async () => {
    const { port } = new URL(api.url)
    const answer = await house.send({ url: `http://localhost:${port}/hello` })
    assert.equal(answer.status, 401, 'it went out without a credential')
  })

  test('an entry alone allows nothing: the host must be among allowedHosts', async () => {
    const before = seenByApi.length
    const answer = await house.send({ url: `${api.url}/hello` }, { allowedHosts: [other.url] })
    assert.equal(answer.error, requestDenied)
    assert.equal(seenByApi.length, before)
  })

  test('after a 401 with a credential that nobody can better the answer is the guest’s', async () => {
    const before = seenByApi.length
    const answer = await house.send({ url: `${api.url}/never` })
    assert.deepEqual([answer.status, answer.body], [401, 'not you'])
    assert.ok(seenByApi.length - before <= 2, 'at most once more')
  })

  test('MinIO gives an object to a request that the host signed with Signature Version 4', async () => {
    const answer = await house.send({ url: `${minio.endpoint}/letters/a%20folder/greeting%20%26%20more.txt` })
    assert.deepEqual(answer, { status: 200, error: undefined, body: 'hello from the bucket', sees: [] })
  })

  test('MinIO takes an object whose hash the host signed, with fields of the guest in it', async () => {
    const put = await house.send({
      method: 'PUT',
      url: `${minio.endpoint}/letters/new.txt`,
      body: '*200000',
      bodyWritten: 'after',
      headers: { 'x-amz-meta-from': 'the  guest', 'content-type': 'text/plain' },
    })
    assert.equal(put.status, 200, put.body)
    const head = await house.send({ url: `${minio.endpoint}/letters/?list-type=2&prefix=new` })
    assert.match(head.body, /<Key>new\.txt<\/Key>.*<Size>200000<\/Size>/s)
  })

  test('a guest that brings a signature, a session or a date of its own is refused', async () => {
    const attempts: Record<string, string>[] = [
      { Authorization: 'AWS4-HMAC-SHA256 Credential=x' },
      { 'X-Amz-Security-Token': 'x' },
      { 'X-Amz-Date': '20260101T000000Z' },
      { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    ]
    for (const headers of attempts) {
      const answer = await house.send({ url: `${minio.endpoint}/letters/new.txt`, headers })
      assert.equal(answer.error, requestDenied, JSON.stringify(headers))
    }
    for (const query of ['X-Amz-Signature=0', 'x-amz-credential=a', 'X%2dAmz-Algorithm=AWS4-HMAC-SHA256']) {
      const answer = await house.send({ url: `${minio.endpoint}/letters/new.txt?${query}` })
      assert.equal(answer.error, requestDenied, query)
    }
  })

  test('a body too long to be hashed whole is an error of its size', async () => {
    const answer = await house.send({
      method: 'PUT',
      url: `${minio.endpoint}/letters/huge`,
      body: '*5000000',
      bodyWritten: 'after',
    })
    assert.equal(answer.error, requestBodySize)
  })

  test('every use is audited, and no event holds a credential', async () => {
    const kinds = new Set(house.events.map(({ entry, kind }) => `${entry} ${kind}`))
    for (const expected of ['api exchanged', 'api signed', 'letters exchanged', 'letters signed', 'api rejected'])
      assert.ok(kinds.has(expected), `${expected} among ${[...kinds]}`)
    const text = JSON.stringify(house.events)
    assert.doesNotMatch(text, /eyJ[\w-]+\.|Bearer|AWS4|Signature/)
    const exchanged = house.events.find(({ kind }) => kind === 'exchanged')
    assert.equal(exchanged?.kind === 'exchanged' && exchanged.spiffeId, subject)
  })
})
