import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose'
import { type JwtBundle, parseJwtBundle } from '../../src/spiffe/jwt-bundle.ts'
import { type JwtSvid, jwtSvidAlgorithms, parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { verifyJwtSvid } from '../../src/spiffe/verify-jwt-svid.ts'

const trustDomain = parseTrustDomain('example.org')
const sub = 'spiffe://example.org/default/api-gateway'
const nowMs = 1_800_000_000_000
const exp = nowMs / 1000 + 300

const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const jws = (header: unknown, payload: unknown, signature = 'c2ln'): string =>
  `${encode(header)}.${encode(payload)}.${signature}`
const claims = { sub, aud: ['a'], exp }

for (const alg of jwtSvidAlgorithms) {
  test(`parseJwtSvid accepts alg ${alg}`, () => assert.equal(parseJwtSvid(jws({ alg }, claims)).algorithm, alg))
}

const accepted: Record<string, string> = {
  'typ JWT': jws({ alg: 'ES256', typ: 'JWT' }, claims),
  'typ JOSE': jws({ alg: 'ES256', typ: 'JOSE' }, claims),
  'no typ': jws({ alg: 'ES256' }, claims),
  'aud as one text': jws({ alg: 'ES256' }, { ...claims, aud: 'a' }),
  'claims of its own': jws({ alg: 'ES256' }, { ...claims, jti: '1', iss: 'https://issuer', iat: 1 }),
}
for (const [what, token] of Object.entries(accepted)) {
  test(`parseJwtSvid accepts ${what}`, () => {
    const svid = parseJwtSvid(token)
    assert.equal(svid.spiffeId, sub)
    assert.deepEqual(svid.audiences, ['a'])
    assert.equal(svid.expiresAt.getTime(), exp * 1000)
    assert.equal(svid.reveal(), token)
  })
}

const rejected: Record<string, string> = {
  nothing: '',
  'a word': 'token',
  'two parts': `${encode({ alg: 'ES256' })}.${encode(claims)}`,
  'no signature': jws({ alg: 'ES256' }, claims, ''),
  'four parts': `${jws({ alg: 'ES256' }, claims)}.c2ln`,
  'an encrypted token': `${jws({ alg: 'ES256' }, claims)}.c2ln.c2ln`,
  'JSON serialisation': JSON.stringify({
    payload: encode(claims),
    protected: encode({ alg: 'ES256' }),
    signature: 'c2ln',
  }),
  'a header that is no JSON': jws('{', claims),
  'a header that is a list': jws([], claims),
  'a header that is null': jws('null', claims),
  'a payload that is no JSON': jws({ alg: 'ES256' }, 'x'),
  'a payload in base64 with padding': `${encode({ alg: 'ES256' })}.${encode(claims)}==.c2ln`,
  'white space around it': ` ${jws({ alg: 'ES256' }, claims)}`,
  'a newline at its end': `${jws({ alg: 'ES256' }, claims)}\n`,
  'alg none': jws({ alg: 'none' }, claims),
  'alg HS256': jws({ alg: 'HS256' }, claims),
  'alg EdDSA': jws({ alg: 'EdDSA' }, claims),
  'alg es256 in small letters': jws({ alg: 'es256' }, claims),
  'no alg': jws({}, claims),
  'typ at+jwt': jws({ alg: 'ES256', typ: 'at+jwt' }, claims),
  'typ jwt in small letters': jws({ alg: 'ES256', typ: 'jwt' }, claims),
  'a critical extension': jws({ alg: 'ES256', crit: ['b64'], b64: false }, claims),
  'an empty kid': jws({ alg: 'ES256', kid: '' }, claims),
  'no sub': jws({ alg: 'ES256' }, { ...claims, sub: undefined }),
  'a sub that is no SPIFFE ID': jws({ alg: 'ES256' }, { ...claims, sub: 'api-gateway' }),
  'a sub with percent-encoding': jws({ alg: 'ES256' }, { ...claims, sub: 'spiffe://example.org/%61' }),
  'no aud': jws({ alg: 'ES256' }, { ...claims, aud: undefined }),
  'an empty aud': jws({ alg: 'ES256' }, { ...claims, aud: [] }),
  'an aud with an empty text': jws({ alg: 'ES256' }, { ...claims, aud: [''] }),
  'an aud with a number': jws({ alg: 'ES256' }, { ...claims, aud: ['a', 1] }),
  'no exp': jws({ alg: 'ES256' }, { ...claims, exp: undefined }),
  'an exp that is a text': jws({ alg: 'ES256' }, { ...claims, exp: String(exp) }),
  'an exp beyond all time': jws({ alg: 'ES256' }, '{"sub":"spiffe://example.org/a","aud":"a","exp":1e300}'),
  'an nbf that is a text': jws({ alg: 'ES256' }, { ...claims, nbf: String(exp) }),
  'an unprotected header (§5.1)': JSON.stringify({
    payload: encode(claims),
    signatures: [{ header: { alg: 'ES256' }, signature: 'c2ln' }],
  }),
  'a token of 40 KB': jws({ alg: 'ES256' }, { ...claims, more: 'x'.repeat(40_000) }),
}
for (const [what, token] of Object.entries(rejected)) {
  test(`parseJwtSvid rejects ${what}, and its message does not quote it`, () => {
    assert.throws(
      () => parseJwtSvid(token),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'ERR_JWT_SVID_INVALID')
        if (token.length > 10) assert.ok(!inspect(error, { depth: 9 }).includes(token.slice(0, 40)))
        return true
      },
    )
  })
}

test('neither printing nor serialising a JWT-SVID shows the token', () => {
  const token = jws({ alg: 'ES256' }, claims)
  const svid = parseJwtSvid(token)
  for (const shown of [
    inspect(svid, { depth: 9, showHidden: true }),
    JSON.stringify(svid),
    String(svid),
    JSON.stringify({ ...svid }),
  ]) {
    assert.ok(!shown.includes('eyJ'), shown)
  }
})

async function keyAndBundle(alg: string, kid: string, use?: string) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid, ...(use && { use }) }
  return { privateKey, jwk, bundle: parseJwtBundle(trustDomain, JSON.stringify({ keys: [jwk] })) }
}
const sign = (
  privateKey: CryptoKey,
  header: JWTHeaderParameters,
  payload: Record<string, unknown> = claims,
): Promise<string> => new SignJWT(payload).setProtectedHeader(header).sign(privateKey)

for (const alg of jwtSvidAlgorithms) {
  test(`verifyJwtSvid accepts what the key of the bundle signed with ${alg}`, async () => {
    const { privateKey, bundle } = await keyAndBundle(alg, 'k1')
    const svid = parseJwtSvid(await sign(privateKey, { alg, kid: 'k1' }))
    verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs })
  })
}

test('verifyJwtSvid refuses another audience, an expired token, another trust domain, an altered payload and an unknown key', async () => {
  const { privateKey, bundle, jwk } = await keyAndBundle('ES256', 'k1')
  const other = await keyAndBundle('ES256', 'k2')
  const token = await sign(privateKey, { alg: 'ES256', kid: 'k1' })
  const svid = parseJwtSvid(token)
  const [header, , signature] = token.split('.')
  const altered = parseJwtSvid(
    `${header}.${encode({ ...claims, sub: 'spiffe://example.org/default/admin' })}.${signature}`,
  )
  const elsewhere = parseJwtBundle(parseTrustDomain('other.org'), JSON.stringify({ keys: [jwk] }))
  const impostor = parseJwtSvid(await sign(other.privateKey, { alg: 'ES256', kid: 'k1' }))
  const expect = { bundle, audiences: ['a'], nowMs }
  assert.throws(() => verifyJwtSvid(svid, { ...expect, audiences: ['b'] }), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  assert.throws(() => verifyJwtSvid(svid, { ...expect, audiences: ['a', 'b'] }), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  assert.throws(() => verifyJwtSvid(svid, { ...expect, nowMs: exp * 1000 }), { code: 'ERR_JWT_SVID_EXPIRED' })
  assert.throws(() => verifyJwtSvid(svid, { ...expect, bundle: elsewhere }), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  assert.throws(() => verifyJwtSvid(altered, expect), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  assert.throws(() => verifyJwtSvid(impostor, expect), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  assert.throws(() => verifyJwtSvid(svid, { ...expect, bundle: other.bundle }), { code: 'ERR_JWT_SVID_KEY_UNKNOWN' })
  assert.throws(() => verifyJwtSvid(svid, { ...expect, bundle: parseJwtBundle(trustDomain, '{"keys":[]}') }), {
    code: 'ERR_JWT_SVID_KEY_UNKNOWN',
  })
})

test('a token without kid is verified by the only key that fits, and by none when several do', async () => {
  const one = await keyAndBundle('ES256', 'k1')
  const two = await keyAndBundle('ES256', 'k2')
  const rsa = await keyAndBundle('RS256', 'k3')
  const svid = parseJwtSvid(await sign(one.privateKey, { alg: 'ES256' }))
  const bundleOf = (...jwks: object[]): JwtBundle => parseJwtBundle(trustDomain, JSON.stringify({ keys: jwks }))
  verifyJwtSvid(svid, { bundle: bundleOf(one.jwk, rsa.jwk), audiences: ['a'], nowMs })
  assert.throws(() => verifyJwtSvid(svid, { bundle: bundleOf(one.jwk, two.jwk), audiences: ['a'], nowMs }), {
    code: 'ERR_JWT_SVID_KEY_UNKNOWN',
  })
})

test('a key verifies only what its kind, its curve and its own alg allow', async () => {
  const p256 = await keyAndBundle('ES256', 'k1')
  const p384 = await keyAndBundle('ES384', 'k1')
  const rsa = await keyAndBundle('RS256', 'k1')
  const pss = parseJwtSvid(await sign((await keyAndBundle('PS256', 'k1')).privateKey, { alg: 'PS256', kid: 'k1' }))
  const confusions: [JwtSvid, JwtBundle][] = [
    [parseJwtSvid(await sign(p256.privateKey, { alg: 'ES256', kid: 'k1' })), rsa.bundle],
    [parseJwtSvid(await sign(rsa.privateKey, { alg: 'RS256', kid: 'k1' })), p256.bundle],
    [parseJwtSvid(await sign(p384.privateKey, { alg: 'ES384', kid: 'k1' })), p256.bundle],
    [pss, rsa.bundle],
    [
      parseJwtSvid(await sign(rsa.privateKey, { alg: 'RS256', kid: 'k1' })),
      parseJwtBundle(trustDomain, JSON.stringify({ keys: [{ ...rsa.jwk, alg: 'PS256' }] })),
    ],
  ]
  for (const [svid, bundle] of confusions) {
    assert.throws(() => verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs }), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  }
})

test('a signature that is cut, lengthened, empty of content or in DER is refused', async () => {
  const { privateKey, bundle } = await keyAndBundle('ES256', 'k1')
  const [header, payload, signature = ''] = (await sign(privateKey, { alg: 'ES256', kid: 'k1' })).split('.')
  const raw = Buffer.from(signature, 'base64url')
  const integer = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([2, bytes.length + 1, 0]), bytes])
  const pair = Buffer.concat([integer(raw.subarray(0, 32)), integer(raw.subarray(32))])
  const der = Buffer.concat([Buffer.from([0x30, pair.length]), pair])
  for (const forged of [
    raw.subarray(0, 63),
    Buffer.concat([raw, Buffer.alloc(1)]),
    Buffer.alloc(64),
    Buffer.alloc(1),
    der,
  ]) {
    const svid = parseJwtSvid(`${header}.${payload}.${forged.toString('base64url')}`)
    assert.throws(() => verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs }), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  }
})

test('parseJwtBundle rejects an RSA key of 1024 bits and a point that is not on its curve', async () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const { jwk } = await keyAndBundle('ES256', 'k1')
  for (const key of [
    { ...publicKey.export({ format: 'jwk' }), kid: 'k1' },
    { ...jwk, x: jwk.y },
  ]) {
    assert.throws(() => parseJwtBundle(trustDomain, JSON.stringify({ keys: [key] })), {
      code: 'ERR_JWT_BUNDLE_INVALID',
    })
  }
})

test('parseJwtBundle takes keys with use jwt-svid, leaves out those of X.509 and of unknown types', async () => {
  const jwt = await keyAndBundle('ES256', 'k1', 'jwt-svid')
  const x509 = await keyAndBundle('ES256', 'k2', 'x509-svid')
  const bundle = parseJwtBundle(
    trustDomain,
    new TextEncoder().encode(
      JSON.stringify({ keys: [jwt.jwk, x509.jwk, { kty: 'oct', k: 'c2VjcmV0', kid: 'k3' }], spiffe_sequence: 1 }),
    ),
  )
  assert.deepEqual(bundle.keyIds, ['k1'])
  const svid = parseJwtSvid(await sign(jwt.privateKey, { alg: 'ES256', kid: 'k1' }))
  verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs })
})

for (const document of [
  '',
  '{',
  '[]',
  'null',
  '{}',
  '{"keys":{}}',
  '{"keys":[1]}',
  '{"keys":[{"kty":"EC"}]}',
  '{"keys":[{"kty":"EC","kid":"a","d":"x"}]}',
]) {
  test(`parseJwtBundle rejects ${JSON.stringify(document)}`, () => {
    assert.throws(() => parseJwtBundle(trustDomain, document), { code: 'ERR_JWT_BUNDLE_INVALID' })
  })
}

// JWT-SVID §2: no header but alg, kid and typ. What others bring is not looked at: keys come from the bundle alone.
test('a key that the token brings in its header is not used', async () => {
  const own = await keyAndBundle('ES256', 'k1')
  const { privateKey, jwk } = await keyAndBundle('ES256', 'k1')
  for (const header of [
    { jwk },
    { jku: 'https://evil.example/keys' },
    { x5u: 'https://evil.example' },
    { x5c: ['MIIB'] },
  ]) {
    const token = await sign(privateKey, { alg: 'ES256', kid: 'k1', ...header } as JWTHeaderParameters)
    const verify = () => verifyJwtSvid(parseJwtSvid(token), { bundle: own.bundle, audiences: ['a'], nowMs })
    assert.throws(verify, { code: 'ERR_JWT_SVID_UNTRUSTED' }, Object.keys(header)[0])
  }
})

test('a kid names a key of the bundle exactly, and is nothing else', async () => {
  const { privateKey, bundle } = await keyAndBundle('ES256', 'k1')
  for (const kid of [
    'K1',
    'k1 ',
    '__proto__',
    'constructor',
    '../../dev/null',
    "' OR 1=1",
    'k1\0',
    'k'.repeat(10_000),
  ]) {
    const svid = parseJwtSvid(await sign(privateKey, { alg: 'ES256', kid }))
    assert.throws(() => verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs }), { code: 'ERR_JWT_SVID_KEY_UNKNOWN' })
  }
})

// §3.2: the value with which the validator identifies, as it is.
for (const aud of ['A', 'a/', ' a', 'a ', 'a,b', 'https://a', 'aa', 'a*', '*']) {
  test(`the audience ${JSON.stringify(aud)} is not the audience "a"`, async () => {
    const { privateKey, bundle } = await keyAndBundle('ES256', 'k1')
    const svid = parseJwtSvid(await sign(privateKey, { alg: 'ES256', kid: 'k1' }, { ...claims, aud: [aud] }))
    assert.throws(() => verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs }), { code: 'ERR_JWT_SVID_UNTRUSTED' })
  })
}

// §4: as any JWT; RFC 7519 §4.1.4 and §4.1.5.
test('a token is valid until exp, not at it, and from a minute before nbf', async () => {
  const { privateKey, bundle } = await keyAndBundle('ES256', 'k1')
  const svid = parseJwtSvid(await sign(privateKey, { alg: 'ES256', kid: 'k1' }, { ...claims, nbf: exp - 100 }))
  const at = (moment: number) => () => verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs: moment * 1000 })
  at(exp - 0.001)()
  at(exp - 160)()
  assert.throws(at(exp), { code: 'ERR_JWT_SVID_EXPIRED' })
  assert.throws(at(exp - 161), { code: 'ERR_JWT_SVID_UNTRUSTED', message: /not valid before 20/ })
})

// RFC 7515 §4, RFC 7519 §4: of a name that stands twice the last counts, for everybody alike.
test('of a name that stands twice the last counts', () => {
  const twice = `{"sub":"spiffe://example.org/admin","sub":"${sub}","aud":"a","exp":${exp}}`
  assert.equal(parseJwtSvid(jws('{"alg":"none","alg":"ES256"}', twice)).spiffeId, sub)
  assert.throws(() => parseJwtSvid(jws('{"alg":"ES256","alg":"none"}', claims)), { code: 'ERR_JWT_SVID_INVALID' })
})

// §6.2, and Trust Domain and Bundle §4.2.2: unknown uses are ignored, and their case counts.
for (const use of ['sig', 'enc', 'wit-svid', 'JWT-SVID', 'jwt-svid ', '', 'x509-svid']) {
  test(`a key of the use ${JSON.stringify(use)} verifies no JWT-SVID`, async () => {
    const { jwk, privateKey } = await keyAndBundle('ES256', 'k1')
    const bundle = parseJwtBundle(trustDomain, JSON.stringify({ keys: [{ ...jwk, use }] }))
    assert.deepEqual(bundle.keyIds, [])
    const svid = parseJwtSvid(await sign(privateKey, { alg: 'ES256', kid: 'k1' }))
    assert.throws(() => verifyJwtSvid(svid, { bundle, audiences: ['a'], nowMs }), { code: 'ERR_JWT_SVID_KEY_UNKNOWN' })
  })
}
