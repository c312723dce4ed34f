import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { verifyX509Svid } from '../../src/spiffe/verify-x509-svid.ts'
import { parseX509Bundle, splitCertificates } from '../../src/spiffe/x509-bundle.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Two authorities of one trust domain's name, an intermediate, and leaves, made with the machine's openssl.
const directory = temporaryDirectory()
after(() => directory[Symbol.dispose]())
const file = (name: string) => join(directory.path, name)
function make(name: string, { issuer, ca, names }: { issuer?: string; ca: boolean; names?: string }): X509Certificate {
  const signed = issuer === undefined ? [] : ['-CA', file(`${issuer}.pem`), '-CAkey', file(`${issuer}.key`)]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file(`${name}.key`)]
  const extensions = [
    `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`,
    ...(names ? [`subjectAltName=${names}`] : []),
  ]
  const added = extensions.flatMap((extension) => ['-addext', extension])
  const out = ['-subj', `/CN=${name}`, '-days', '1', '-out', file(`${name}.pem`)]
  execFileSync('openssl', ['req', '-x509', ...key, ...signed, ...added, ...out], { stdio: 'pipe' })
  return new X509Certificate(readFileSync(file(`${name}.pem`)))
}
const id = 'spiffe://example.org/a'
const root = make('root', { ca: true })
const other = make('other', { ca: true })
const intermediate = make('intermediate', { issuer: 'root', ca: true })
const leaf = make('leaf', { issuer: 'intermediate', ca: false, names: `URI:${id}` })
const trustDomain = parseTrustDomain('example.org')
const bundle = parseX509Bundle(trustDomain, root.raw)
const nowMs = Date.now()
const verify = (chain: readonly X509Certificate[], at = nowMs, known = bundle) =>
  verifyX509Svid(chain, { bundleOf: (asked) => (asked === known.trustDomain ? known : undefined), nowMs: at })

test('a leaf with a path to an authority of its trust domain is who it says, until the first of the chain expires', () => {
  const { spiffeId, expiresAt } = verify([leaf, intermediate])
  assert.equal(spiffeId, id)
  assert.ok(expiresAt <= leaf.validToDate && expiresAt <= intermediate.validToDate)
})

test('what the server sent beside, in any order, does not matter', () => {
  assert.equal(verify([leaf, other, root, intermediate]).spiffeId, id)
})

const direct = make('direct', { issuer: 'root', ca: false, names: `URI:${id}` })
const untrusted = 'ERR_X509_SVID_UNTRUSTED'
const invalid = 'ERR_X509_SVID_INVALID'
for (const [what, chain, code, at, known] of [
  ['without its intermediate', [leaf], untrusted],
  [
    'of an authority that is not in the bundle',
    [make('stray', { issuer: 'other', ca: false, names: `URI:${id}` }), other],
    untrusted,
  ],
  ['signed by a leaf', [make('below', { issuer: 'direct', ca: false, names: `URI:${id}` }), direct], untrusted],
  [
    'of a trust domain that is not known',
    [make('far', { issuer: 'root', ca: false, names: 'URI:spiffe://other.org/a' })],
    untrusted,
  ],
  ['that has expired', [direct], untrusted, nowMs + 2 * 86_400_000],
  ['that is not valid yet', [direct], untrusted, nowMs - 86_400_000],
  ['with two URIs', [make('two', { issuer: 'root', ca: false, names: `URI:${id},URI:${id}b` })], invalid],
  ['without a URI', [make('none', { issuer: 'root', ca: false, names: 'DNS:a' })], invalid],
  ['that is a CA', [make('authority', { issuer: 'root', ca: true, names: `URI:${id}` })], invalid],
  ['that is empty', [], invalid],
  ['against an empty bundle', [direct], untrusted, nowMs, parseX509Bundle(trustDomain, new Uint8Array())],
] as const) {
  test(`a chain ${what} is refused`, () => {
    assert.throws(() => verify(chain, at, known), { code })
  })
}

test('certificates that stand one after the other are taken apart; what is cut or strange is refused', () => {
  const both = Buffer.concat([root.raw, leaf.raw])
  assert.deepEqual(splitCertificates(both), [root.raw, leaf.raw])
  for (const bad of [both.subarray(0, -1), Buffer.from('hello'), Buffer.from([0x30]), Buffer.from([0x30, 0x89, 1])]) {
    assert.throws(() => parseX509Bundle(trustDomain, bad), { code: 'ERR_X509_BUNDLE_INVALID' })
  }
  assert.throws(() => parseX509Bundle(trustDomain, leaf.raw), /no CA/)
})
