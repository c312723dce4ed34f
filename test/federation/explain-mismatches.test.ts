import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkToken, type Expectation } from '../../src/federation/check-token.ts'
import type { DiscoveryFacts, PublishedKey } from '../../src/federation/discovery-facts.ts'
import type { Cause } from '../../src/federation/finding.ts'
import type { PresentedToken } from '../../src/federation/presented-token.ts'
import type { RelyingPartyKind } from '../../src/federation/relying-party.ts'
import { relyingParties } from '../../src/federation/relying-party-table.ts'

const nowS = 1_800_000_000
const issuer = 'https://oidc.example.org'
const subject = 'spiffe://example.org/default/api-gateway'

type Claims = PresentedToken['claims']
type Case = {
  readonly what: string
  readonly party: RelyingPartyKind
  readonly cause: Cause | 'accepted'
  readonly mend?: RegExp
  readonly header?: Partial<PresentedToken['header']>
  readonly claims?: Partial<Claims>
  readonly padded?: boolean
  readonly expected?: Expectation
  readonly discovery?: DiscoveryFacts
  readonly signatureValid?: boolean
}

const audienceOf: Record<RelyingPartyKind, string> = {
  aws: 'sts.amazonaws.com',
  gcp: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/herald',
  azure: 'api://AzureADTokenExchange',
  vault: 'https://vault.example.org',
  minio: 'sts.amazonaws.com',
  keycloak: 'https://sso.example.org/realms/shop',
  kafka: 'kafka',
  kubernetes: 'https://kubernetes.default.svc',
  nats: 'nats',
  oidc: 'https://ledger.example.org',
}
const key: PublishedKey = { kid: 'k1', kty: 'RSA', crv: undefined, use: 'sig' }
const read = (change: Partial<Extract<DiscoveryFacts, { kind: 'read' }>> = {}): DiscoveryFacts => ({
  kind: 'read',
  url: `${issuer}/.well-known/openid-configuration`,
  issuer,
  jwksUri: `${issuer}/keys`,
  keys: [key],
  ...change,
})

function explain({ party, header, claims, padded, expected, discovery, signatureValid }: Omit<Case, 'what' | 'cause'>) {
  const keycloak = party === 'keycloak'
  const token: PresentedToken = {
    header: { alg: 'RS256', kid: 'k1', ...header },
    claims: {
      iss: keycloak ? undefined : issuer,
      sub: subject,
      aud: [audienceOf[party]],
      iat: nowS - 60,
      exp: nowS + 240,
      names: ['iss', 'sub', 'aud', 'iat', 'exp'],
      ...claims,
    },
    padded: padded ?? false,
  }
  return checkToken({
    party: relyingParties[party],
    token,
    expected: { issuer, audience: audienceOf[party], subject, trustDomain: 'example.org', ...expected },
    discovery: discovery ?? (keycloak ? read({ keys: [{ ...key, use: 'jwt-svid' }] }) : read()),
    signatureValid: signatureValid ?? true,
    nowMs: nowS * 1000,
  })
}

const es256: PublishedKey = { kid: 'k1', kty: 'EC', crv: 'P-256', use: 'sig' }
const longId = `spiffe://example.org/default/${'a'.repeat(110)}`

const cases: readonly Case[] = [
  {
    what: 'SPIRE has no jwt_issuer',
    party: 'aws',
    claims: { iss: undefined },
    cause: 'issuer-missing',
    mend: /jwt_issuer = "https:\/\/oidc\.example\.org"/,
  },
  {
    what: 'the issuer is plain http',
    party: 'aws',
    claims: { iss: 'http://oidc.example.org' },
    expected: { issuer: 'http://oidc.example.org' },
    cause: 'issuer-not-https',
    mend: /jwt_issuer = "https:/,
  },
  {
    what: 'the issuer names a port',
    party: 'aws',
    claims: { iss: 'https://oidc.example.org:8443' },
    expected: { issuer: 'https://oidc.example.org:8443' },
    cause: 'issuer-has-port',
    mend: /"https:\/\/oidc\.example\.org"/,
  },
  {
    what: 'the provider was created without the trailing slash',
    party: 'aws',
    claims: { iss: `${issuer}/` },
    cause: 'issuer-trailing-slash',
    mend: /herald trust aws --issuer https:\/\/oidc\.example\.org\/$/,
  },
  {
    what: 'the provider is of another issuer',
    party: 'aws',
    claims: { iss: 'https://other.example.org' },
    cause: 'issuer-differs',
  },
  {
    what: 'the issuer is in the cluster only',
    party: 'aws',
    claims: { iss: 'https://spire-oidc.spire.svc' },
    expected: { issuer: 'https://spire-oidc.spire.svc' },
    cause: 'issuer-not-public',
  },
  { what: 'a token file ends in a newline', party: 'aws', padded: true, cause: 'token-padded', mend: /printf %s/ },
  {
    what: 'SPIRE signs with PS256',
    party: 'aws',
    header: { alg: 'PS256' },
    cause: 'algorithm-refused',
    mend: /jwt_key_type = "rsa-2048"/,
  },
  {
    what: 'the subject has 300 bytes',
    party: 'aws',
    claims: { sub: `spiffe://example.org/${'b'.repeat(280)}` },
    expected: { subject: 'spiffe://example.org/*' },
    cause: 'subject-too-long',
  },
  {
    what: 'the role trusts another component',
    party: 'aws',
    expected: { subject: 'spiffe://example.org/default/ledger' },
    cause: 'subject-differs',
    mend: /herald trust aws --spiffe-id spiffe:\/\/example\.org\/default\/api-gateway/,
  },
  {
    what: 'the token is for another audience',
    party: 'aws',
    claims: { aud: ['spiffe://example.org/ledger'] },
    cause: 'audience-differs',
    mend: /audiences: "sts\.amazonaws\.com"/,
  },
  { what: 'the token has ended', party: 'aws', claims: { iat: nowS - 400, exp: nowS - 100 }, cause: 'expired' },
  {
    what: "the issuer's clock is ten minutes ahead",
    party: 'aws',
    claims: { iat: nowS + 600, exp: nowS + 900 },
    cause: 'issued-in-future',
    mend: /set-ntp/,
  },
  {
    what: 'the signing key is not published',
    party: 'aws',
    header: { kid: 'k2' },
    cause: 'key-unknown',
    mend: /bundle show/,
  },
  { what: 'the token was altered', party: 'aws', signatureValid: false, cause: 'signature-invalid' },
  {
    what: 'the SPIFFE ID has more than 127 bytes',
    party: 'gcp',
    claims: { sub: longId },
    expected: { subject: longId },
    cause: 'subject-too-long',
    mend: /herald trust gcp --spiffe-id/,
  },
  {
    what: 'SPIRE signs with ES384',
    party: 'gcp',
    header: { alg: 'ES384' },
    discovery: read({ keys: [{ ...es256, crv: 'P-384' }] }),
    cause: 'algorithm-refused',
  },
  {
    what: 'tokens live three days',
    party: 'gcp',
    claims: { exp: nowS + 72 * 3600 },
    cause: 'lifetime-too-long',
    mend: /-jwtSVIDTTL 300/,
  },
  { what: 'the token has no iat', party: 'gcp', claims: { iat: undefined }, cause: 'iat-missing' },
  {
    what: 'the discovery document takes the issuer from the Host header',
    party: 'gcp',
    discovery: read({ issuer: 'https://10.0.0.7' }),
    cause: 'discovery-issuer-differs',
    mend: /jwt_issuer = "https:\/\/oidc\.example\.org"/,
  },
  {
    what: 'SPIRE signs with ES256',
    party: 'azure',
    header: { alg: 'ES256' },
    discovery: read({ keys: [es256] }),
    cause: 'algorithm-untested',
    mend: /rsa-2048/,
  },
  {
    what: "AWS's audience is sent to Entra",
    party: 'azure',
    claims: { aud: ['sts.amazonaws.com'] },
    cause: 'audience-differs',
  },
  {
    what: 'the subject differs by case',
    party: 'azure',
    expected: { subject: 'spiffe://example.org/default/API-gateway' },
    cause: 'subject-differs',
  },
  {
    what: 'the issuer answers nothing',
    party: 'vault',
    discovery: { kind: 'unreachable', url: `${issuer}/.well-known/openid-configuration`, reason: 'connection refused' },
    cause: 'discovery-unreachable',
    mend: /curl/,
  },
  {
    what: 'the audience lacks its trailing slash',
    party: 'vault',
    claims: { aud: ['https://vault.example.org/'] },
    cause: 'audience-trailing-slash',
  },
  {
    what: 'the role is an oidc role',
    party: 'vault',
    expected: { roleType: 'oidc' },
    cause: 'role-type-oidc',
    mend: /role_type=jwt/,
  },
  { what: 'the key set is empty', party: 'minio', discovery: read({ keys: [] }), cause: 'discovery-without-keys' },
  {
    what: 'two audiences are asked for at once',
    party: 'keycloak',
    claims: { aud: [audienceOf.keycloak, 'account'] },
    cause: 'audience-not-single',
    mend: /alone/,
  },
  { what: 'tokens live an hour', party: 'keycloak', claims: { exp: nowS + 3540 }, cause: 'lifetime-too-long' },
  {
    what: 'the key set does not say what keys are for',
    party: 'keycloak',
    discovery: read({ keys: [{ ...key, use: undefined }] }),
    cause: 'key-use-missing',
    mend: /bundle_endpoint/,
  },
  {
    what: 'the component is of another trust domain',
    party: 'keycloak',
    claims: { sub: 'spiffe://example.com/default/api-gateway' },
    expected: { subject: 'spiffe://*' },
    cause: 'trust-domain-differs',
  },
  {
    what: 'the broker may not fetch the key set',
    party: 'kafka',
    expected: { allowedUrls: ['https://other.example.org/keys'] },
    cause: 'jwks-url-not-allowed',
    mend: /allowed\.urls=https:\/\/oidc\.example\.org\/keys$/,
  },
  {
    what: "the documentation's sample rule is used",
    party: 'kubernetes',
    expected: { claimRules: ['claims.exp - claims.nbf <= 86400'] },
    cause: 'claim-rule-unsatisfiable',
    mend: /claims\.exp - claims\.iat <= 86400/,
  },
  {
    what: 'the API server is told an http issuer',
    party: 'kubernetes',
    claims: { iss: 'http://oidc.example.org' },
    expected: { issuer: 'http://oidc.example.org' },
    cause: 'issuer-not-https',
  },
  { what: 'sub is no SPIFFE ID', party: 'nats', claims: { sub: 'alice' }, cause: 'subject-missing' },
  {
    what: 'an issuer with a query',
    party: 'oidc',
    claims: { iss: `${issuer}?tenant=1` },
    expected: { issuer: `${issuer}?tenant=1` },
    cause: 'issuer-has-query',
  },
  { what: 'the published key is of another type', party: 'oidc', header: { alg: 'ES256' }, cause: 'key-type-differs' },
  { what: 'the token names no key', party: 'minio', header: { kid: undefined }, cause: 'kid-missing' },
  {
    what: 'iss is just a name',
    party: 'vault',
    claims: { iss: 'spire' },
    expected: { issuer: undefined as never },
    cause: 'issuer-not-a-url',
  },
]

for (const { what, cause, mend, ...given } of cases) {
  test(`${given.party}: when ${what}, the one cause is ${cause}`, () => {
    const findings = explain(given)
    assert.equal(findings[0]?.cause, cause, JSON.stringify(findings))
    assert.equal(findings.length, 1, `only one thing is wrong: ${JSON.stringify(findings)}`)
    assert.ok(findings[0].detail.length > 10 && findings[0].mend.length > 10)
    if (mend !== undefined) assert.match(findings[0].mend, mend)
  })
}

test('at least thirty mismatches are prepared, and each relying party has one', () => {
  assert.ok(cases.length >= 30)
  assert.deepEqual(new Set(cases.map(({ party }) => party)), new Set(Object.keys(relyingParties)))
})

for (const party of Object.keys(relyingParties) as RelyingPartyKind[]) {
  test(`${party}: a token that fits is accepted without a finding`, () => {
    assert.deepEqual(explain({ party }), [])
  })
}

for (const party of ['minio', 'nats'] as const) {
  test(`${party} does not look at iss, so a token without one is accepted`, () => {
    assert.deepEqual(explain({ party, claims: { iss: undefined } }), [])
  })
}

test('what refuses comes before what merely risks', () => {
  const findings = explain({
    party: 'azure',
    header: { alg: 'ES256' },
    discovery: read({ keys: [es256] }),
    claims: { aud: ['wrong'] },
  })
  assert.deepEqual(
    findings.map(({ cause }) => cause),
    ['audience-differs', 'algorithm-untested'],
  )
})
