import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { generateKeyPair, SignJWT } from 'jose'
import type { Clock } from '../../src/clock/clock.ts'
import type { ErrorCode } from '../../src/errors/error-codes.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { type Binding, parseBinding } from '../../src/federation/binding.ts'
import { exchange } from '../../src/federation/exchange.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { type StandInRequest, type StandInResponse, startHttpStandIn } from '../relying-parties/http-stand-in.ts'

const { privateKey } = await generateKeyPair('ES256')
const svid = parseJwtSvid(
  await new SignJWT({ sub: 'spiffe://example.org/default/api-gateway', aud: ['x'] })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setExpirationTime('5m')
    .sign(privateKey),
)

/** Sleeps take no time but move the clock. */
function fakeClock(): Clock & { sleptMs: number[] } {
  let now = Date.now()
  const sleptMs: number[] = []
  return {
    sleptMs,
    nowMs: () => now,
    async sleep(durationMs, { signal } = {}) {
      signal?.throwIfAborted()
      sleptMs.push(durationMs)
      now += durationMs
    },
  }
}

const id = '11111111-2222-3333-4444-555555555555'
const bindings = {
  aws: (url: string) =>
    parseBinding('b', {
      provider: 'aws',
      'role-arn': 'arn:aws:iam::123456789012:role/r',
      region: 'us-east-1',
      'sts-endpoint': url,
    }),
  gcp: (url: string) =>
    parseBinding('b', {
      provider: 'gcp',
      'workload-identity-provider': 'projects/1/locations/global/workloadIdentityPools/pool/providers/provider',
      'token-endpoint': `${url}/v1/token`,
      'impersonation-endpoint': url,
      'service-account': 'reader@shop.iam.gserviceaccount.com',
    }),
  azure: (url: string) =>
    parseBinding('b', {
      provider: 'azure',
      'tenant-id': id,
      'client-id': id,
      scope: 'https://x/.default',
      authority: url,
    }),
  vault: (url: string) =>
    parseBinding('b', { provider: 'vault', audience: 'x', address: url, role: 'r', path: 'secret/data/x' }),
  oidc: (url: string) => parseBinding('b', { provider: 'oidc', audience: 'x', 'token-endpoint': `${url}/token` }),
} as const satisfies Record<string, (url: string) => Binding>

type Answer = (request: StandInRequest, count: number) => Partial<StandInResponse> | Promise<Partial<StandInResponse>>

async function tradeWith(
  provider: keyof typeof bindings,
  answer: Answer,
  options: { signal?: AbortSignal; clock?: Clock } = {},
) {
  let count = 0
  const server = await startHttpStandIn(async (request) => ({
    status: 200,
    headers: {},
    body: '',
    ...(await answer(request, count++)),
  }))
  try {
    const { clock = fakeClock(), signal = AbortSignal.timeout(10_000) } = options
    return await exchange(bindings[provider](server.url), svid, { fetch, clock, signal })
  } finally {
    await server.close()
  }
}

const inFuture = (s: number) => new Date(Date.now() + s * 1000).toISOString()
const sts = (change: Record<string, string> = {}, around: (xml: string) => string = (xml) => xml) => {
  const fields = {
    AccessKeyId: 'ASIAAAAAAAAAAAAAAAAA',
    SecretAccessKey: 'secret/secret+secret/secret',
    SessionToken: 'session',
    Expiration: inFuture(900),
    ...change,
  }
  const xml = Object.entries(fields).map(([name, value]) => `<${name}>${value}</${name}>`)
  return around(`<R xmlns="x"><Credentials>${xml.join('')}</Credentials></R>`)
}
const oauth = (change: object = {}) =>
  JSON.stringify({ access_token: 'at', token_type: 'Bearer', expires_in: 300, ...change })
const login = JSON.stringify({ auth: { client_token: 'hvs.x', lease_duration: 60 } })
const vaultReads =
  (body: string): Answer =>
  ({ target }) => ({ body: target.endsWith('/login') ? login : body })

const hostile: readonly [what: string, provider: keyof typeof bindings, answer: Answer, code: ErrorCode][] = [
  ['300 KiB of answer', 'oidc', () => ({ body: 'x'.repeat(300 * 1024) }), 'ERR_FEDERATION_ANSWER_INVALID'],
  ['an answer that is not JSON', 'oidc', () => ({ body: '<html>' }), 'ERR_FEDERATION_ANSWER_INVALID'],
  ['a JSON array', 'azure', () => ({ body: '[]' }), 'ERR_FEDERATION_ANSWER_INVALID'],
  [
    'a token with a line break in it',
    'azure',
    () => ({ body: oauth({ access_token: 'a\r\nx-evil: 1' }) }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  ['a token that is a number', 'oidc', () => ({ body: oauth({ access_token: 1 }) }), 'ERR_FEDERATION_ANSWER_INVALID'],
  [
    'a token that is no Bearer',
    'oidc',
    () => ({ body: oauth({ token_type: 'N_A' }) }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  ['a lifetime below zero', 'azure', () => ({ body: oauth({ expires_in: -1 }) }), 'ERR_FEDERATION_ANSWER_INVALID'],
  ['a lifetime of centuries', 'azure', () => ({ body: oauth({ expires_in: 1e12 }) }), 'ERR_FEDERATION_ANSWER_INVALID'],
  ['a lifetime in words', 'oidc', () => ({ body: oauth({ expires_in: 'soon' }) }), 'ERR_FEDERATION_ANSWER_INVALID'],
  [
    'an impersonated token without expiry',
    'gcp',
    ({ target }) => ({ body: target === '/v1/token' ? oauth() : '{"accessToken":"a"}' }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  [
    'an impersonated token that ended',
    'gcp',
    ({ target }) => ({
      body: target === '/v1/token' ? oauth() : JSON.stringify({ accessToken: 'a', expireTime: inFuture(-60) }),
    }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  [
    'a document type declaration',
    'aws',
    () => ({ body: sts({}, (xml) => `<!DOCTYPE R [<!ENTITY x "y">]>${xml}`) }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  ['two sets of credentials', 'aws', () => ({ body: sts() + sts() }), 'ERR_FEDERATION_ANSWER_INVALID'],
  [
    'a key id with a line break',
    'aws',
    () => ({ body: sts({ AccessKeyId: 'ASIAAAAAAAAAAAAAA&#10;x' }) }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  [
    'credentials that ended',
    'aws',
    () => ({ body: sts({ Expiration: inFuture(-1) }) }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  [
    'credentials for a year',
    'aws',
    () => ({ body: sts({ Expiration: inFuture(365 * 86_400) }) }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  ['no session token', 'aws', () => ({ body: sts({ SessionToken: '' }) }), 'ERR_FEDERATION_ANSWER_INVALID'],
  [
    'a lease of negative length',
    'vault',
    () => ({ body: JSON.stringify({ auth: { client_token: 't', lease_duration: -1 } }) }),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  ['a secret without fields', 'vault', vaultReads('{"data":{}}'), 'ERR_FEDERATION_ANSWER_INVALID'],
  [
    'a secret whose field is an object',
    'vault',
    vaultReads('{"data":{"a":{"b":"c"}}}'),
    'ERR_FEDERATION_ANSWER_INVALID',
  ],
  [
    'a refusal that echoes the token',
    'oidc',
    () => ({ status: 400, body: JSON.stringify({ error: svid.reveal(), error_description: `no: ${svid.reveal()}` }) }),
    'ERR_FEDERATION_REFUSED',
  ],
  [
    'a refusal in XML that echoes the token',
    'aws',
    () => ({ status: 400, body: `<E><Code>${svid.reveal()}</Code><Message>${svid.reveal()}</Message></E>` }),
    'ERR_FEDERATION_REFUSED',
  ],
  ['a refusal without a word', 'azure', () => ({ status: 400 }), 'ERR_FEDERATION_REFUSED'],
  [
    'errors that are no texts',
    'vault',
    () => ({ status: 400, body: '{"errors":[{"x":1},null]}' }),
    'ERR_FEDERATION_REFUSED',
  ],
  [
    '503 for ever',
    'aws',
    () => ({ status: 503, body: '<E><Code>ServiceUnavailable</Code></E>' }),
    'ERR_FEDERATION_UNAVAILABLE',
  ],
  [
    'throttling for ever',
    'aws',
    () => ({ status: 400, body: '<E><Code>Throttling</Code><Message>Rate exceeded</Message></E>' }),
    'ERR_FEDERATION_UNAVAILABLE',
  ],
  ['429 for ever', 'vault', () => ({ status: 429 }), 'ERR_FEDERATION_UNAVAILABLE'],
  [
    'an issuer that AWS never reaches',
    'aws',
    () => ({ status: 400, body: '<E><Code>IDPCommunicationError</Code></E>' }),
    'ERR_FEDERATION_REFUSED',
  ],
]

for (const [what, provider, answer, code] of hostile) {
  test(`${provider}: ${what} ends in ${code}, with no secret in the error`, async () => {
    await assert.rejects(tradeWith(provider, answer), (error) => {
      assert.ok(isHeraldError(error, code), inspect(error))
      const shown = inspect(error, { depth: 10 }) + error.describe()
      assert.ok(!shown.includes(svid.reveal()) && !/eyJ|hvs\.|secret\/secret/.test(shown), shown)
      assert.ok(error.message.length < 500)
      return true
    })
  })
}

test('a redirect is not followed, so the token reaches nobody else', async () => {
  let reached = 0
  const elsewhere = await startHttpStandIn(async () => {
    reached += 1
    return { status: 200, headers: {}, body: oauth() }
  })
  for (const status of [301, 302, 307, 308]) {
    const answer = () => ({ status, headers: { location: elsewhere.url } })
    await assert.rejects(tradeWith('oidc', answer), { code: 'ERR_FEDERATION_ANSWER_INVALID' })
  }
  await elsewhere.close()
  assert.equal(reached, 0)
})

test('what passes is tried again: 503, throttling and IDPCommunicationError, then credentials', async () => {
  const codes = ['ServiceUnavailable', 'Throttling', 'IDPCommunicationError']
  const clock = fakeClock()
  const { credentials } = await tradeWith(
    'aws',
    (_, count) => {
      const code = codes[count]
      if (code === undefined) return { body: sts() }
      return { status: code === 'ServiceUnavailable' ? 503 : 400, body: `<E><Code>${code}</Code></E>` }
    },
    { clock },
  )
  assert.equal(credentials.kind, 'aws')
  assert.equal(clock.sleptMs.length, 3)
})

test('Retry-After is obeyed when it is within reason', async () => {
  const clock = fakeClock()
  await tradeWith(
    'oidc',
    (_, count) => (count === 0 ? { status: 429, headers: { 'retry-after': '3' } } : { body: oauth() }),
    { clock },
  )
  assert.deepEqual(clock.sleptMs, [3000])
})

test('patience ends: 503 for ever is given up after five seconds, a spreading Entra credential after two minutes', async () => {
  const spentMs = async (provider: keyof typeof bindings, answer: Answer) => {
    const clock = fakeClock()
    await assert.rejects(tradeWith(provider, answer, { clock }))
    return clock.sleptMs.reduce((sum, ms) => sum + ms, 0)
  }
  assert.ok((await spentMs('azure', () => ({ status: 503 }))) <= 5_000)
  const spreading = JSON.stringify({
    error: 'invalid_client',
    error_description: 'AADSTS70021: No matching federated identity record found',
  })
  const ms = await spentMs('azure', () => ({ status: 400, body: spreading }))
  assert.ok(ms > 90_000 && ms <= 120_000, `${ms}`)
})

test('a party that cannot be reached is told as such, without waiting for ever', async () => {
  const server = await startHttpStandIn(async () => ({ status: 200, headers: {}, body: '' }))
  await server.close()
  await assert.rejects(
    exchange(bindings.oidc(server.url), svid, { fetch, clock: fakeClock(), signal: AbortSignal.timeout(5_000) }),
    { code: 'ERR_FEDERATION_UNAVAILABLE' },
  )
})

test('a party that never answers does not outlive the caller', async () => {
  const startedMs = performance.now()
  await assert.rejects(
    tradeWith('oidc', () => new Promise(() => {}), { signal: AbortSignal.timeout(100) }),
    { name: 'TimeoutError' },
  )
  assert.ok(performance.now() - startedMs < 2_000)
})

const badBindings: readonly [what: string, config: Record<string, string>, message: RegExp][] = [
  ['no provider', {}, /"provider" must be/],
  ['an unknown provider', { provider: 'ibm' }, /"provider" must be/],
  ['a missing role', { provider: 'aws', region: 'us-east-1' }, /"role-arn" is missing/],
  ['an unknown key', { provider: 'jwt-svid', audience: 'x', secret: 'y' }, /unknown key "secret"/],
  [
    'plain http to another machine',
    { provider: 'oidc', audience: 'x', 'token-endpoint': 'http://sso.example.org/t' },
    /"token-endpoint" must be an https URL/,
  ],
  [
    'the metadata address of the machine',
    { provider: 'oidc', audience: 'x', 'token-endpoint': 'https://169.254.169.254/latest' },
    /"token-endpoint" must be/,
  ],
  [
    'a user in a URL',
    { provider: 'oidc', audience: 'x', 'token-endpoint': 'https://u:p@sso.example.org/t' },
    /"token-endpoint" must be/,
  ],
  [
    'too short a session',
    { provider: 'aws', 'role-arn': 'arn:aws:iam::123456789012:role/r', region: 'us-east-1', 'duration-s': '60' },
    /"duration-s" must be 900 at least/,
  ],
  [
    'a Vault path that leaves its place',
    { provider: 'vault', audience: 'x', address: 'https://v', role: 'r', path: 'secret/../sys/seal' },
    /"path" has the wrong form/,
  ],
  [
    'a tenant that is a path',
    { provider: 'azure', 'tenant-id': '../x', 'client-id': id, scope: 's' },
    /"tenant-id" must be a GUID/,
  ],
]
for (const [what, config, message] of badBindings) {
  test(`a binding with ${what} is refused, and the key is named`, () => {
    assert.throws(
      () => parseBinding('storage', config),
      (error) => {
        assert.ok(isHeraldError(error, 'ERR_FEDERATION_BINDING_INVALID'))
        assert.match(error.message, message)
        assert.match(error.message, /"storage"/)
        return true
      },
    )
  })
}
