import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { testLattice, until, within } from './lattice-test-setup.ts'

// A certificate authority of this test, with a server's and a client's certificate, made with the machine's openssl.
const directory = temporaryDirectory()
after(() => directory[Symbol.dispose]())
const file = (name: string) => join(directory.path, name)
const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
openssl(
  'req',
  '-x509',
  ...newKey,
  '-days',
  '1',
  '-subj',
  '/CN=herald test CA',
  '-keyout',
  file('ca.key'),
  '-out',
  file('ca.pem'),
)
openssl(
  'req',
  '-x509',
  ...newKey,
  '-days',
  '1',
  '-subj',
  '/CN=another CA',
  '-keyout',
  file('other.key'),
  '-out',
  file('other.pem'),
)
for (const name of ['server', 'client']) {
  const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key')]
  const subject = [
    '-subj',
    `/CN=${name}`,
    '-addext',
    'subjectAltName=IP:127.0.0.1',
    '-addext',
    'basicConstraints=critical,CA:FALSE',
  ]
  openssl(
    'req',
    '-x509',
    ...newKey,
    ...signed,
    '-days',
    '1',
    ...subject,
    '-keyout',
    file(`${name}.key`),
    '-out',
    file(`${name}.pem`),
  )
}

const serverTls = (more = '') =>
  `tls { cert_file: "${file('server.pem')}", key_file: "${file('server.key')}", ca_file: "${file('ca.pem')}" ${more} }`
const refused = (lattice: ReturnType<typeof testLattice>) =>
  until('it was refused', () => lattice.events().some(({ event }) => event === 'lattice.connect-failed'))

test('a server that wants TLS gets it when its authority is trusted, and only then', async () => {
  await using nats = await startNats({ config: serverTls() })
  await using lattice = testLattice(nats.url, { tls: { caFile: file('ca.pem') } })
  await lattice.connected(within(10_000))
  await using stranger = testLattice(nats.url, { tls: { caFile: file('other.pem') } })
  await refused(stranger)
  await using unset = testLattice(nats.url)
  await refused(unset)
  assert.deepEqual([stranger.state.kind, unset.state.kind], ['connecting', 'connecting'])
})

test('mutual TLS: the client’s certificate is shown, and without one the server refuses', async () => {
  await using nats = await startNats({ config: serverTls(', verify: true') })
  const caFile = file('ca.pem')
  await using lattice = testLattice(nats.url, {
    tls: { caFile, certFile: file('client.pem'), keyFile: file('client.key') },
  })
  await lattice.connected(within(10_000))
  await using bare = testLattice(nats.url, { tls: { caFile } })
  await refused(bare)
  assert.equal(bare.state.kind, 'connecting')
})

test('TLS first: the handshake comes before the server’s greeting', async () => {
  // The harness waits for a greeting in plain text, which this server gives only to whom it does not concern: a fallback of 100 ms.
  await using first = await startNats({ config: serverTls(', handshake_first: "100ms"') })
  await using lattice = testLattice(first.url, { tls: { caFile: file('ca.pem'), handshakeFirst: true } })
  await lattice.connected(within(10_000))
})

test('tls:// insists: a server without TLS is not spoken to', async () => {
  await using nats = await startNats()
  await using lattice = testLattice(nats.url.replace('nats://', 'tls://'), { tls: { caFile: file('ca.pem') } })
  await refused(lattice)
  assert.equal(lattice.state.kind, 'connecting')
  await using plain = testLattice(nats.url)
  await plain.connected(within(10_000))
})

test('a certificate that is renewed in its file is used at the next connect', async () => {
  await using nats = await startNats({ config: serverTls() })
  const caFile = file('renewed-ca.pem')
  openssl('x509', '-in', file('other.pem'), '-out', caFile)
  await using lattice = testLattice(nats.url, { tls: { caFile } })
  await refused(lattice)
  openssl('x509', '-in', file('ca.pem'), '-out', caFile)
  await lattice.connected(within(10_000))
})
