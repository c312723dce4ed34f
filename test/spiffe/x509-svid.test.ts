import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
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
type Wanted = {
  issuer?: string
  ca: boolean
  names?: string
  path?: string
  more?: readonly string[]
  options?: readonly string[]
}
function make(name: string, { issuer, ca, names, path = '', more = [], options = [] }: Wanted): X509Certificate {
  const signed = issuer === undefined ? [] : ['-CA', file(`${issuer}.pem`), '-CAkey', file(`${issuer}.key`)]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file(`${name}.key`)]
  const extensions = [
    `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}${path}`,
    ...(names ? [`subjectAltName=${names}`] : []),
    ...more,
  ]
  const added = extensions.flatMap((extension) => ['-addext', extension])
  const out = ['-subj', `/CN=${name}`, '-days', '1', '-out', file(`${name}.pem`)]
  execFileSync('openssl', ['req', '-x509', ...key, ...signed, ...options, ...added, ...out], { stdio: 'pipe' })
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
const withUsage = (name: string, usage: string): X509Certificate =>
  make(name, { issuer: 'root', ca: false, names: `URI:${id}`, more: [`keyUsage=critical,${usage}`] })
/** A leaf and the intermediate above it. */
const below = (name: string, wanted: Wanted): readonly X509Certificate[] => {
  const above = make(name, { issuer: 'root', ...wanted })
  return [make(`${name}-leaf`, { issuer: name, ca: false, names: `URI:${id}` }), above]
}
const short = make('short', { issuer: 'root', ca: true, path: ',pathlen:0' })
const long = make('long', { issuer: 'short', ca: true })
const tooLong = [make('deep', { issuer: 'long', ca: false, names: `URI:${id}` }), long, short]
// A DNS name with a comma in it: only a section of the configuration can say that.
const configuration = '[req]\ndistinguished_name=dn\n[dn]\n[e]\nsubjectAltName=@names\n[names]\n'
writeFileSync(file('names.cnf'), `${configuration}DNS.1="a, URI:spiffe://example.org/admin"\n`)
const options = ['-config', file('names.cnf'), '-extensions', 'e']
const spelled = make('spelled', { issuer: 'root', ca: false, options })
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
  [
    'whose SPIFFE ID has no path (§3.1)',
    [make('bare', { issuer: 'root', ca: false, names: 'URI:spiffe://example.org' })],
    invalid,
  ],
  [
    'whose URI is no SPIFFE ID (§5.2)',
    [make('https', { issuer: 'root', ca: false, names: 'URI:https://a/b' })],
    invalid,
  ],
  ['that may sign certificates (§5.2)', [withUsage('signer', 'digitalSignature,keyCertSign')], invalid],
  ['that may sign revocations (§5.2)', [withUsage('revoker', 'digitalSignature,cRLSign')], invalid],
  [
    'by an intermediate that may not sign certificates (§3.2)',
    below('no-signer', { ca: true, more: ['keyUsage=critical,digitalSignature'] }),
    untrusted,
  ],
  ['by one intermediate more than an authority permits (§5.1)', tooLong, untrusted],
  [
    'by an intermediate that is constrained to another trust domain (§4.2)',
    below('elsewhere', { ca: true, more: ['nameConstraints=critical,permitted;URI:other.org'] }),
    untrusted,
  ],
  [
    'by an intermediate that is constrained to what is below the trust domain (§4.2)',
    below('subdomains', { ca: true, more: ['nameConstraints=critical,permitted;URI:.example.org'] }),
    untrusted,
  ],
  [
    'by an intermediate from which the trust domain is excluded (§4.2)',
    below('excluded', { ca: true, more: ['nameConstraints=critical,excluded;URI:example.org'] }),
    untrusted,
  ],
  ['whose DNS name spells another URI', [spelled], invalid],
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

test('constraints that the path keeps to are no obstacle', () => {
  const just = make('just', { issuer: 'short', ca: false, names: `URI:${id}` })
  assert.equal(verify([just, short], Date.now()).spiffeId, id)
  for (const [name, constraint] of [
    ['own', 'permitted;URI:example.org'],
    ['several', 'permitted;URI:other.org,permitted;URI:example.org'],
    ['other-excluded', 'excluded;URI:other.org'],
    ['of-dns', 'permitted;DNS:internal'],
  ] as const) {
    const chain = below(name, { ca: true, more: [`nameConstraints=critical,${constraint}`] })
    assert.equal(verify(chain, Date.now()).spiffeId, id, name)
  }
  assert.equal(verify([withUsage('usual', 'digitalSignature,keyEncipherment,keyAgreement')], Date.now()).spiffeId, id)
})

test('the DNS name that spells a URI is one name', () => {
  assert.match(spelled.subjectAltName ?? '', /^DNS:"a.*URI:spiffe:\/\/example\.org\/admin"$/)
})

test('DNS names beside the URI change nothing (§2)', () => {
  const named = make('named', { issuer: 'root', ca: false, names: `DNS:a.example.com,URI:${id},DNS:b.example.com` })
  assert.equal(verify([named], Date.now()).spiffeId, id)
})

test('an authority vouches for its own trust domain only, however many are known (SPIFFE-ID §3)', () => {
  const foreign = make('foreign', { issuer: 'root', ca: false, names: 'URI:spiffe://other.org/a' })
  const bundles = [bundle, parseX509Bundle(parseTrustDomain('other.org'), other.raw)]
  const bundleOf = (asked: string) => bundles.find((each) => each.trustDomain === asked)
  assert.throws(() => verifyX509Svid([foreign], { bundleOf, nowMs: Date.now() }), { code: untrusted })
})
