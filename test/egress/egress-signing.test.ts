import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseEgressConfig } from '../../src/capabilities/egress/egress-config.ts'
import { parseSignRequest } from '../../src/capabilities/egress/sign-request.ts'
import { Credentials } from '../../src/federation/credentials.ts'
import { createHeadSigner, egressRefusalOf, parseEgressSigning } from '../../src/federation/egress-signing.ts'

const aws = { provider: 'aws', 'role-arn': 'arn:aws:iam::123456789012:role/reader', region: 'eu-central-1' }

for (const [what, config, reason] of [
  ['no host', { 'bearer-audience': 'a' }, /"host" is missing/],
  ['a host with a path', { host: 'https://api.example.com/v1', 'bearer-audience': 'a' }, /"host" is no origin/],
  [
    'a host with user information',
    { host: 'https://a@api.example.com', 'bearer-audience': 'a' },
    /"host" is no origin/,
  ],
  ['a wildcard', { host: 'https://*.example.com', 'bearer-audience': 'a' }, /"host" is no origin/],
  ['plain http', { host: 'http://api.example.com', 'bearer-audience': 'a' }, /in the open/],
  ['the metadata address', { host: 'http://169.254.169.254', 'bearer-audience': 'a' }, /its own credentials/],
  ['neither audience nor provider', { host: 'https://api.example.com' }, /neither "bearer-audience" nor "provider"/],
  ['both', { host: 'https://api.example.com', 'bearer-audience': 'a', ...aws }, /beside "bearer-audience"/],
  ['an unknown key', { host: 'https://api.example.com', 'bearer-audience': 'a', audiences: 'b' }, /"audiences" beside/],
  ['aws without a service', { host: 'https://s3.example.com', ...aws }, /"sigv4-service" must be/],
  [
    'an unknown key for aws',
    { host: 'https://s3.example.com', ...aws, 'sigv4-service': 's3', role: 'x' },
    /unknown key "role"/,
  ],
  [
    'vault',
    {
      host: 'https://a.example.com',
      provider: 'vault',
      audience: 'a',
      address: 'https://v.example.com',
      role: 'r',
      path: 'a/b',
    },
    /no bearer token/,
  ],
  [
    'a service without aws',
    { host: 'https://a.example.com', provider: 'jwt-svid', audience: 'a', 'sigv4-service': 's3' },
    /are for provider aws/,
  ],
] as [string, Record<string, string>, RegExp][]) {
  test(`an entry with ${what} is refused, with the reason`, () => {
    assert.throws(() => parseEgressSigning('api', config), { code: 'ERR_FEDERATION_BINDING_INVALID', message: reason })
  })
}

test('a body is streamed unsigned to S3 over TLS alone; else its hash is signed', () => {
  for (const [host, service, payload] of [
    ['https://s3.eu-central-1.amazonaws.com', 's3', 'unsigned'],
    ['http://127.0.0.1:9000', 's3', 'hashed'],
    ['https://bedrock-runtime.eu-central-1.amazonaws.com', 'bedrock', 'hashed'],
  ] as const) {
    const { method } = parseEgressSigning('x', { host, ...aws, 'sigv4-service': service })
    assert.deepEqual(method, { kind: 'sigv4', service, region: 'eu-central-1', payload })
  }
})

test('two entries for one origin, or of one name, are refused', () => {
  const entry = (name: string, host: string) => ({
    ...{ namespace: 'herald', package: 'egress', version: undefined, interfaces: ['signing'], name },
    config: { host, 'bearer-audience': 'a' },
  })
  const parse = (...entries: ReturnType<typeof entry>[]) => parseEgressConfig(entries, { loopbackEndpoints: false })
  assert.throws(
    () => parse(entry('a', 'https://api.example.com'), entry('b', 'https://API.example.com:443')),
    /sign requests to/,
  )
  assert.throws(
    () => parse(entry('a', 'https://api.example.com'), entry('a', 'https://b.example.com')),
    /are named "a"/,
  )
  assert.equal(parse(entry('a', 'https://api.example.com'), entry('b', 'https://b.example.com')).length, 2)
})

test('credentials are not obtained at the loopback of a host that does not permit it', () => {
  const config = { host: 'https://s3.example.com', ...aws, 'sigv4-service': 's3', 'sts-endpoint': 'http://127.0.0.1:9' }
  const entry = {
    namespace: 'herald',
    package: 'egress',
    version: '0.1.0',
    interfaces: ['signing'],
    name: undefined,
    config,
  }
  assert.throws(() => parseEgressConfig([entry], { loopbackEndpoints: false }), /on the host itself/)
})

test('no path can make a signature for another host', () => {
  const signing = parseEgressSigning('x', { host: 'https://s3.example.com', ...aws, 'sigv4-service': 's3' })
  const secret = {
    kind: 'aws',
    accessKeyId: 'A',
    secretAccessKey: 'S',
    sessionToken: 'T',
    region: 'eu-central-1',
  } as const
  const signer = createHeadSigner(signing, new Credentials(secret, new Date(Date.now() + 60_000)))
  assert.match(egressRefusalOf(signing, { path: '*', headers: [] }) ?? '', /needs a path/)
  assert.match(egressRefusalOf(signing, { path: '@evil.example/', headers: [] }) ?? '', /needs a path/)
  const own = {
    method: 'GET',
    path: '//evil.example/x',
    headers: [['x-amz-acl', 'private']] as const,
    bodySha256: undefined,
  }
  const fields = Object.fromEntries(signer.sign(own, 0))
  assert.match(
    fields.authorization ?? '',
    /SignedHeaders=host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-security-token/,
  )
  assert.equal(fields['x-amz-content-sha256'], 'UNSIGNED-PAYLOAD')
  assert.equal(JSON.stringify(signer).includes('S'), false)
})

test('a token that could become two fields is no bearer token', () => {
  const signing = parseEgressSigning('x', { host: 'https://a.example.com', 'bearer-audience': 'a' })
  const bad = new Credentials({ kind: 'bearer', token: 'a\r\nx-admin: 1' }, new Date())
  assert.throws(() => createHeadSigner(signing, bad), { code: 'ERR_FEDERATION_ANSWER_INVALID' })
})

for (const payload of [
  undefined,
  { slot: 0 },
  { slot: 0.5, head: { method: 'GET', path: '/', headers: [] } },
  { slot: 0, head: { method: 'GET', path: '/', headers: [['a', 'b\nc']] } },
  { slot: 0, head: { method: 'GET', path: '/', headers: [['a']] } },
  { slot: 0, head: { method: 'GET', path: '/', headers: [], bodySha256: 'x' } },
]) {
  test(`the control thread takes no malformed request: ${JSON.stringify(payload)}`, () => {
    assert.throws(() => parseSignRequest(payload), TypeError)
  })
}
