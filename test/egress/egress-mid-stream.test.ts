import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/clock/clock.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { StandInAuthority } from '../identity/stand-in-authority.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { type EgressHouse, openEgressHouse, requestDenied } from './egress-house.ts'

const length = 700_000

describe('credentials that end while a body is under way', () => {
  const cleanup = new AsyncDisposableStack()
  let authority: StandInAuthority
  let house: EgressHouse
  let url: string
  /** Requests whose body waits to be read. */
  const waiting: { request: IncomingMessage; token: string; finish: () => void }[] = []

  before(async () => {
    authority = await StandInAuthority.create(systemClock)
    authority.jwtLifetimeS = 3
    // Takes the head at once, and the body when the test says so: more than all buffers between hold.
    const server = createServer((request, response) => {
      const token = (request.headers.authorization ?? '').replace('Bearer ', '')
      waiting.push({
        request,
        token,
        finish() {
          let bytes = 0
          request.on('data', (chunk: Buffer) => (bytes += chunk.length))
          request.on('end', () => response.end(`took ${bytes}`))
        },
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanup.defer(() => {
      server.closeAllConnections()
      server.close()
    })
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    house = cleanup.use(await openEgressHouse(authority, { api: { host: url, 'bearer-audience': 'a' } }))
  })
  after(() => cleanup.disposeAsync())

  const upload = () => house.send({ method: 'POST', url: `${url}/up`, body: `*${length}`, bodyWritten: 'after' })

  test('a token that expires meanwhile cuts nothing off, and what comes next has another', async () => {
    const uploading = upload()
    await until('the head has arrived', () => waiting.length === 1)
    const { token, finish } = waiting[0]!
    await until('the token has expired', () => parseJwtSvid(token).expiresAt.getTime() < Date.now())
    finish()
    const answer = await uploading
    assert.deepEqual([answer.status, answer.body], [200, `took ${length}`])
    const next = upload()
    await until('the next head has arrived', () => waiting.length === 2)
    waiting[1]!.finish()
    assert.equal((await next).status, 200)
    assert.notEqual(waiting[1]!.token, token)
    assert.ok(parseJwtSvid(waiting[1]!.token).expiresAt > parseJwtSvid(token).expiresAt)
  })

  test('an identity that is taken back meanwhile cuts nothing off, and nothing more goes out', async () => {
    // Tokens that live long from here on: what ends this one is the entry alone.
    authority.jwtLifetimeS = 300
    let current = waiting.at(-1)!
    while (parseJwtSvid(current.token).expiresAt.getTime() < Date.now() + 100_000) {
      const count = waiting.length
      const sending = upload()
      await until('the head has arrived', () => waiting.length > count)
      current = waiting.at(-1)!
      current.finish()
      await sending
    }
    const count = waiting.length
    const uploading = upload()
    await until('the head has arrived', () => waiting.length > count)
    current = waiting.at(-1)!
    authority.entitle(parseJwtSvid(current.token).spiffeId)
    authority.answer = () => new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'the entry is gone')
    authority.entitle()
    await until('it is evicted', () => house.events.some(({ kind }) => kind === 'evicted'))
    current.finish()
    assert.equal((await uploading).body, `took ${length}`)
    assert.equal((await upload()).error, requestDenied)
    assert.equal(waiting.length, count + 1)
  })
})
