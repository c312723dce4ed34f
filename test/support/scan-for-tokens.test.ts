import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { scanForTokens } from './scan-for-tokens.ts'

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const token = `${encode({ alg: 'ES256' })}.${encode({ sub: 'spiffe://example.org/a' })}.${randomBytes(64).toString('base64url')}`
const awsSecret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'.slice(0, 40)

for (const [what, line, kind] of [
  ['a bare JWT', token, 'JWT'],
  ['a JWT in a JSON log line', `{"event":"svid.issued","detail":"Bearer ${token}"}`, 'JWT'],
  ['a JWT in a query string', `GET /?WebIdentityToken=${token}&Version=2011-06-15`, 'JWT'],
  ['a named AWS secret key in JSON', `{"SecretAccessKey":"${awsSecret}"}`, 'AWS secret access key'],
  ['a named AWS secret key in XML', `<SecretAccessKey>${awsSecret}</SecretAccessKey>`, 'AWS secret access key'],
  ['an AWS secret key in the environment', `AWS_SECRET_ACCESS_KEY=${awsSecret}`, 'AWS secret access key'],
  ['an AWS secret key that stands alone', `credentials: ${awsSecret}`, 'AWS secret access key'],
  ['an AWS session token', `x-amz-security-token: ${'IQoJb3JpZ2luX2VjE'.repeat(4)}`, 'AWS session token'],
  ['a private key', '-----BEGIN EC PRIVATE KEY-----', 'private key'],
] as const) {
  test(`scanForTokens finds ${what} and its line`, () => {
    assert.deepEqual(scanForTokens(`first line\n${line}\nlast line`), [{ line: 2, kind }])
  })
}

test('scanForTokens finds a secret that it is told of, whatever it looks like', () => {
  assert.deepEqual(scanForTokens('the password is hunter2', { known: ['hunter2'] }), [
    { line: 1, kind: 'known secret' },
  ])
})

for (const [what, line] of [
  ['a SPIFFE ID and a trust domain', 'issued spiffe://example.org/default/api-gateway for spiffe://example.org/ledger'],
  ['a digest', `sha256:${createHash('sha256').update('a').digest('hex')}`],
  ['a commit', '9f2d1c3e4b5a69788796a5b4c3d2e1f0a1b2c3d4'],
  ['a long path', '/home/someone/herald/test/support/somewhere/very/deep/Inside/of/the/tree/file2.ts'],
  ['an entry id and a time', 'entry=6f2a7b1e-2f6c-4f7e-9f58-1c1f3c0f5a11 time="2026-08-01T10:00:00Z"'],
  ['a decoded header', '{"alg":"ES256","kid":"PUYtV1BSkP4HbQeEyJ","typ":"JWT"}'],
  ['the word token', 'session token refused: expired'],
  ['an AWS access key id, which is no secret', 'AccessKeyId=ASIAIOSFODNN7EXAMPLE'],
] as const) {
  test(`scanForTokens leaves ${what} alone`, () => assert.deepEqual(scanForTokens(line), []))
}
