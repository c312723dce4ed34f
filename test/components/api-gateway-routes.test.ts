import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test, { after, before, describe } from 'node:test'
import { type AwsStandIns, startAwsStandIns } from '../relying-parties/aws-stand-ins.ts'
import { startHttpStandIn } from '../relying-parties/http-stand-in.ts'
import {
  type OidcIssuerStandIn,
  startOidcIssuerStandIn,
  type TokenClaims,
} from '../relying-parties/oidc-issuer-stand-in.ts'
import { type CreateGateway, type Gateway, loadGateway, readConfiguration } from './gateway-in-node.ts'

const me = 'spiffe://example.org/default/api-gateway'

describe('the routes of api-gateway', () => {
  let createGateway: CreateGateway
  let issuer: OidcIssuerStandIn
  let aws: AwsStandIns
  const lines: string[] = []

  before(async () => {
    createGateway = await loadGateway()
    issuer = await startOidcIssuerStandIn()
    aws = await startAwsStandIns({
      issuer: issuer.issuer,
      audience: 'sts.amazonaws.com',
      subjects: [me, `${me}-2`],
      log: (line) => lines.push(line),
    })
  })
  after(async () => {
    await Promise.all([issuer.close(), aws.close()])
  })

  /** `get` answers with a token of these claims, or throws what it is given. */
  async function gatewayWith(
    identity: TokenClaims | { refuse: unknown } | { token: string | undefined },
    { environment = {}, now = Date.now }: { environment?: Record<string, string>; now?: () => number } = {},
  ) {
    let current = await makeGet(identity)
    const asked: string[] = []
    const gateway = createGateway({
      configuration: await readConfiguration({
        AWS_ROLE_ARN: aws.roleArn,
        AWS_ENDPOINT_URL_STS: aws.stsUrl,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME: aws.bedrockUrl,
        ...environment,
      }),
      getToken: (audience) => {
        asked.push(audience)
        return current()
      },
      now,
    })
    const become = async (other: TokenClaims) => {
      current = await makeGet(other)
    }
    return { gateway, asked, become }
  }

  async function makeGet(identity: TokenClaims | { refuse: unknown } | { token: string | undefined }) {
    if ('refuse' in identity) {
      return () => {
        throw identity.refuse
      }
    }
    const token = 'token' in identity ? identity.token : await issuer.sign(identity)
    return () => token
  }

  async function ask(gateway: Gateway, method: string, path: string, body = '', headers: Record<string, string> = {}) {
    const answer = await gateway.answer({ method, path, query: '', headers, readBody: () => body })
    assert.equal(typeof answer.body, 'string')
    const isJson = answer.headers['content-type']?.startsWith('application/json')
    return { ...answer, text: answer.body as string, json: isJson ? JSON.parse(answer.body as string) : undefined }
  }

  test('POST /api/v1/token answers with the token, its subject and its end', async () => {
    const { gateway, asked } = await gatewayWith({})
    const { status, json, headers } = await ask(gateway, 'POST', '/api/v1/token')
    assert.equal(status, 200)
    assert.equal(headers['cache-control'], 'no-store')
    assert.deepEqual(asked, ['sts.amazonaws.com'])
    assert.equal(json.subject, me)
    assert.equal(json.audience, 'sts.amazonaws.com')
    assert.match(json.token, /^eyJ/)
    const holdS = (Date.parse(json.expiresAt) - Date.now()) / 1000
    assert.ok(holdS > 290 && holdS <= 300, `${holdS} s`)
  })

  test('POST /api/v1/token asks for the audience that it is told', async () => {
    const { gateway, asked } = await gatewayWith({})
    const { json } = await ask(gateway, 'POST', '/api/v1/token', '{"audience":"spiffe://example.org/ledger"}')
    assert.equal(json.audience, 'spiffe://example.org/ledger')
    assert.deepEqual(asked, ['spiffe://example.org/ledger'])
  })

  const storeErrors: [string, unknown, number, string][] = [
    ['not-found', { payload: { tag: 'not-found' } }, 403, 'identity-not-found'],
    ['other', { payload: { tag: 'other', val: 'audience is not allowed' } }, 403, 'identity-refused'],
    ['io', { payload: { tag: 'io', val: 'SPIRE is away' } }, 503, 'identity-unavailable'],
  ]
  for (const [variant, refuse, status, code] of storeErrors) {
    for (const path of ['/api/v1/token', '/api/v1/exchange', '/api/v1/bedrock']) {
      test(`store.get’s ${variant} is ${status} ${code} at ${path}`, async () => {
        const { gateway } = await gatewayWith({ refuse })
        const answer = await ask(gateway, 'POST', path)
        assert.equal(answer.status, status)
        assert.equal(answer.json.error.code, code)
        assert.equal(answer.json.error.step, 'identity')
      })
    }
  }

  test('no token at all is the same as not-found', async () => {
    const { gateway } = await gatewayWith({ token: undefined })
    assert.equal((await ask(gateway, 'POST', '/api/v1/token')).json.error.code, 'identity-not-found')
  })

  test('something that is no JWT is 502', async () => {
    const { gateway } = await gatewayWith({ token: 'nonsense' })
    assert.equal((await ask(gateway, 'POST', '/api/v1/token')).status, 502)
  })

  const badRequests: [string, string, string, string, number, string][] = [
    ['an unknown path', 'GET', '/api/v2', '', 404, 'no-such-route'],
    ['a name of the prototype', 'GET', '/__proto__', '', 404, 'no-such-route'],
    ['an object without a key', 'GET', '/api/v1/object/', '', 404, 'no-such-route'],
    ['the wrong method', 'GET', '/api/v1/token', '', 405, 'method-not-allowed'],
    ['a body that is not JSON', 'POST', '/api/v1/token', '{', 400, 'bad-json'],
    ['a body that is no object', 'POST', '/api/v1/token', '[]', 400, 'bad-json'],
    ['an unknown key', 'POST', '/api/v1/token', '{"audiences":"a"}', 400, 'unknown-key'],
    ['an empty audience', 'POST', '/api/v1/token', '{"audience":""}', 400, 'bad-value'],
    ['an audience that is a number', 'POST', '/api/v1/token', '{"audience":1}', 400, 'bad-value'],
    [
      'a prompt that is too long',
      'POST',
      '/api/v1/bedrock',
      JSON.stringify({ prompt: 'x'.repeat(4001) }),
      400,
      'bad-value',
    ],
    ['a key that is not percent-encoding', 'GET', '/api/v1/object/%E0%A4%A', '', 400, 'bad-key'],
  ]
  for (const [what, method, path, body, status, code] of badRequests) {
    test(`${what} is ${status} ${code}`, async () => {
      const { gateway, asked } = await gatewayWith({})
      const answer = await ask(gateway, method, path, body)
      assert.equal(answer.status, status)
      assert.equal(answer.json.error.code, code)
      assert.deepEqual(asked, [], 'and the host is not asked for a token')
    })
  }

  test('another site’s page is refused', async () => {
    const { gateway } = await gatewayWith({})
    const answer = await ask(gateway, 'POST', '/api/v1/bedrock', '', { 'sec-fetch-site': 'cross-site' })
    assert.equal(answer.status, 403)
  })

  test('GET / is a page that needs nothing but itself, under a policy that permits only that', async () => {
    const { gateway } = await gatewayWith({})
    const { status, text, headers } = await ask(gateway, 'GET', '/')
    assert.equal(status, 200)
    assert.doesNotMatch(text.replaceAll(/http:\/\/www\.w3\.org\/2000\/svg/g, ''), /(src|href)="?https?:|url\(|@import/)
    for (const element of ['script', 'style']) {
      const [, content] = new RegExp(`<${element}>([\\s\\S]*?)</${element}>`).exec(text)!
      const hash = createHash('sha256').update(content!).digest('base64')
      assert.ok(headers['content-security-policy']!.includes(`${element}-src 'sha256-${hash}'`))
    }
  })

  test('POST /api/v1/bedrock trades the token once and uses the credentials again', async () => {
    const { gateway } = await gatewayWith({})
    lines.length = 0
    const first = await ask(gateway, 'POST', '/api/v1/bedrock', '{"prompt":"the tide"}')
    assert.equal(first.status, 200)
    assert.match(first.json.story, /the tide/)
    assert.equal(first.json.model, 'amazon.nova-lite-v1:0')
    assert.equal(first.json.subject, me)
    const holdS = (Date.parse(first.json.credentialsExpireAt) - Date.now()) / 1000
    assert.ok(holdS > 890 && holdS <= 900, `${holdS} s`)
    assert.equal((await ask(gateway, 'POST', '/api/v1/bedrock')).status, 200)
    assert.equal(lines.filter((line) => line.includes('STS')).length, 1)
    assert.equal(lines.filter((line) => line.includes('Bedrock')).length, 2)
    assert.match(lines[0]!, /assumed-role\/herald-demo\/example\.org-default-api-gateway until/)
  })

  test('POST /api/v1/exchange says for whom and until when, and shows no key', async () => {
    const { gateway } = await gatewayWith({})
    const { status, text, json } = await ask(gateway, 'POST', '/api/v1/exchange')
    assert.equal(status, 200)
    assert.deepEqual(Object.keys(json), ['subject', 'roleArn', 'accessKeyId', 'credentialsExpireAt'])
    assert.doesNotMatch(text, /ASIA[A-Z2-7]{4}|eyJ/)
  })

  test('credentials are traded anew for another subject, and shortly before they end', async () => {
    let nowMs = Date.now()
    const { gateway, become } = await gatewayWith({}, { now: () => nowMs })
    lines.length = 0
    await ask(gateway, 'POST', '/api/v1/exchange')
    await become({ sub: `${me}-2` })
    assert.equal((await ask(gateway, 'POST', '/api/v1/exchange')).json.subject, `${me}-2`)
    assert.equal(lines.length, 2)
    nowMs += 838_000
    await ask(gateway, 'POST', '/api/v1/exchange')
    assert.equal(lines.length, 2)
    nowMs += 3_000
    await ask(gateway, 'POST', '/api/v1/exchange')
    assert.equal(lines.length, 3)
  })

  const refusals: [string, TokenClaims, string][] = [
    ['a token for another audience', { aud: ['other'] }, 'InvalidIdentityToken'],
    ['a token of another component', { sub: 'spiffe://example.org/default/whoami-c' }, 'AccessDenied'],
    ['an expired token', { issuedInS: -900, expiresInS: -600 }, 'ExpiredTokenException'],
  ]
  for (const [what, claims, code] of refusals) {
    test(`${what} is 403 with AWS’s own ${code}`, async () => {
      const { gateway } = await gatewayWith(claims)
      const { status, json, text } = await ask(gateway, 'POST', '/api/v1/bedrock')
      assert.equal(status, 403)
      assert.equal(json.error.code, code)
      assert.equal(json.error.step, 'exchange')
      assert.doesNotMatch(text, /eyJ/)
    })
  }

  test('an altered token is 403 InvalidIdentityToken', async () => {
    const { gateway } = await gatewayWith({ token: await issuer.forge({}) })
    const { status, json } = await ask(gateway, 'POST', '/api/v1/exchange')
    assert.deepEqual([status, json.error.code], [403, 'InvalidIdentityToken'])
  })

  test('Bedrock’s refusal is passed on, and the credentials are not used again', async () => {
    const { gateway } = await gatewayWith({}, { environment: { AWS_REGION: 'eu-west-1' } })
    lines.length = 0
    for (const _ of [1, 2]) {
      const { status, json } = await ask(gateway, 'POST', '/api/v1/bedrock')
      assert.deepEqual([status, json.error.code, json.error.step], [403, 'InvalidSignatureException', 'bedrock'])
    }
    assert.equal(lines.filter((line) => line.includes('STS')).length, 2)
  })

  test('a model that is not there is 400 ValidationException', async () => {
    const { gateway } = await gatewayWith({}, { environment: { BEDROCK_MODEL_ID: 'nobody.model' } })
    const { status, json } = await ask(gateway, 'POST', '/api/v1/bedrock')
    assert.deepEqual([status, json.error.code], [400, 'ValidationException'])
  })

  test('an STS that cannot be reached is 502', async () => {
    const { gateway } = await gatewayWith({}, { environment: { AWS_ENDPOINT_URL_STS: 'http://127.0.0.1:1' } })
    const { status, json } = await ask(gateway, 'POST', '/api/v1/exchange')
    assert.deepEqual([status, json.error.code], [502, 'not-reachable'])
  })

  test('without AWS_ROLE_ARN it says what is missing', async () => {
    const { gateway } = await gatewayWith({}, { environment: { AWS_ROLE_ARN: '' } })
    const { status, json } = await ask(gateway, 'POST', '/api/v1/exchange')
    assert.equal(status, 500)
    assert.match(json.error.message, /AWS_ROLE_ARN/)
  })

  test('a relying party that repeats the token in its error does not get it shown', async () => {
    const echo = await startHttpStandIn(async ({ body }) => {
      const token = new URLSearchParams(body.toString()).get('WebIdentityToken')
      const error = `<Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>bad token ${token}</Message></Error>`
      return { status: 400, headers: { 'content-type': 'text/xml' }, body: `<ErrorResponse>${error}</ErrorResponse>` }
    })
    try {
      const { gateway } = await gatewayWith({}, { environment: { AWS_ENDPOINT_URL_STS: echo.url } })
      const { json } = await ask(gateway, 'POST', '/api/v1/exchange')
      assert.equal(json.error.message, 'bad token [redacted]')
    } finally {
      await echo.close()
    }
  })
})
