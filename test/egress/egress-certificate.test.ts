import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { systemClock } from '../../src/clock/clock.ts'
import { parseEgressCertificate } from '../../src/federation/egress-certificate.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { log } from '../engine/engine-fixture.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { type EgressHouse, openEgressHouse, requestDenied } from './egress-house.ts'

const subject = 'spiffe://example.org/default/api-gateway'
const ledger = 'spiffe://example.org/ledger'

describe('outgoing requests in mutual TLS, with the component’s X.509-SVID of a real SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let house: EgressHouse
  let entry: string
  let origin: string
  let impostor: string
  const seen: string[] = []

  /** Speaks only to whom the SPIRE's authority vouches for, and says who it was. */
  async function serve(spiffeId: string): Promise<string> {
    const { certFile, keyFile, bundleFile } = await spire.mintX509Svid({ spiffeId, dns: 'localhost' })
    const [cert, key, ca] = [certFile, keyFile, bundleFile].map((file) => readFileSync(file))
    const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, (request, response) => {
      const { subjectaltname } = (request.socket as TLSSocket).getPeerCertificate()
      seen.push(`${spiffeId} ${request.url}`)
      let bytes = 0
      request.on('data', (chunk: Buffer) => (bytes += chunk.length))
      request.on('end', () => {
        const fields = `${request.headers.host === new URL(origin).host} ${request.headers.authorization ?? 'none'}`
        response.end(request.url === '/long' ? 'x'.repeat(300_000) : `${subjectaltname} sent ${bytes}, ${fields}`)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanup.defer(() => {
      server.closeAllConnections()
      server.close()
    })
    return `https://localhost:${(server.address() as AddressInfo).port}`
  }

  before(async () => {
    spire = cleanup.use(await startSpire({ oidc: false }))
    entry = await spire.createEntry({ spiffeId: subject, selectors: ['wasmcloud:component:api-gateway'] })
    origin = await serve(ledger)
    impostor = await serve('spiffe://example.org/impostor')
    const certificate = { 'client-certificate': 'x509-svid', 'server-spiffe-id': ledger }
    const authority = createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock: systemClock })
    house = cleanup.use(
      await openEgressHouse(authority, {
        ledger: { host: origin, ...certificate },
        impostor: { host: impostor, ...certificate },
      }),
    )
  })
  after(() => cleanup.disposeAsync())

  test('the server knows a component that imports no identity by its certificate', async () => {
    const answer = await house.send({ url: `${origin}/hello` })
    assert.deepEqual(answer, { status: 200, error: undefined, body: `URI:${subject} sent 0, true none`, sees: [] })
  })

  test('bodies are streamed both ways, and what the guest says above TLS is between it and the server', async () => {
    const sent = await house.send({
      method: 'POST',
      url: `${origin}/post`,
      body: '*700000',
      bodyWritten: 'after',
      headers: { authorization: 'Bearer mine' },
    })
    assert.equal(sent.body, `URI:${subject} sent 700000, true Bearer mine`)
    assert.equal((await house.send({ url: `${origin}/long` })).status, 200)
  })

  test('a server that is somebody else gets no request, whatever name its certificate has', async () => {
    const answer = await house.send({ url: `${impostor}/secret` })
    assert.equal(answer.status, undefined)
    assert.notEqual(answer.error, undefined)
    assert.deepEqual(
      seen.filter((line) => line.includes('/secret')),
      [],
    )
  })

  test('once the entry is gone no request goes out, and it is audited', async () => {
    const kinds = () => house.events.map((event) => `${event.entry} ${event.method} ${event.kind}`)
    await until('uses are told', () => kinds().includes('ledger client-certificate signed'))
    await spire.deleteEntry(entry)
    const limit = AbortSignal.timeout(30_000)
    let answer = await house.send({ url: `${origin}/late` })
    while (answer.error !== requestDenied) {
      assert.ok(!limit.aborted, `still ${JSON.stringify(answer)}`)
      answer = await house.send({ url: `${origin}/late` })
    }
    assert.ok(kinds().includes('ledger client-certificate refused'))
    assert.doesNotMatch(JSON.stringify(house.events), /BEGIN/)
  })
})

for (const [what, config, reason] of [
  ['another kind of certificate', { host: 'https://a.test', 'client-certificate': 'file' }, /x509-svid/],
  ['plain http', { host: 'http://localhost', 'client-certificate': 'x509-svid' }, /https/],
  [
    'a token beside it',
    { host: 'https://a.test', 'client-certificate': 'x509-svid', 'bearer-audience': 'a' },
    /beside/,
  ],
  [
    'a server that has no SPIFFE ID',
    { host: 'https://a.test', 'client-certificate': 'x509-svid', 'server-spiffe-id': 'a' },
    /server-spiffe-id/,
  ],
  ['a server but no certificate', { host: 'https://a.test', 'server-spiffe-id': ledger }, /client-certificate/],
] as const) {
  test(`an entry with ${what} is refused`, () => {
    assert.throws(() => parseEgressCertificate('api', config), {
      code: 'ERR_FEDERATION_BINDING_INVALID',
      message: reason,
    })
  })
}
