import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { type AwsStandIns, startAwsStandIns } from '../relying-parties/aws-stand-ins.ts'
import { startLog } from '../support/log.ts'
import { type ComponentHouse, openComponentHouse } from './component-house.ts'

const me = 'spiffe://development.local/default/api-gateway'

describe('api-gateway, in the real engine', () => {
  let house: ComponentHouse
  let aws: AwsStandIns
  let url: string

  before(async () => {
    house = await openComponentHouse()
    const { append } = startLog('aws-stand-ins')
    aws = await startAwsStandIns({
      issuer: house.issuer,
      audience: 'sts.amazonaws.com',
      subjects: [me],
      log: (line) => append(`${line}\n`),
    })
    url = (await house.deploy('api-gateway', { ...atAws(), audiences: 'sts.amazonaws.com, vault' })).url
  })
  after(async () => {
    await aws.close()
    await house[Symbol.asyncDispose]()
  })

  function atAws(environment: Record<string, string> = {}) {
    return {
      environment: {
        AWS_ROLE_ARN: aws.roleArn,
        AWS_ENDPOINT_URL_STS: aws.stsUrl,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME: aws.bedrockUrl,
        ...environment,
      },
      allowedHosts: [aws.stsUrl, aws.bedrockUrl],
    }
  }

  async function post(base: string, path: string, body?: object) {
    const response = await fetch(`${base}${path}`, { method: 'POST', ...(body && { body: JSON.stringify(body) }) })
    const text = await response.text()
    return { status: response.status, text, json: JSON.parse(text) }
  }

  test('it gets its own token, for an audience on its list', async () => {
    const { status, json } = await post(url, '/api/v1/token', { audience: 'vault' })
    assert.equal(status, 200)
    assert.equal(json.subject, me)
    const claims = JSON.parse(Buffer.from(json.token.split('.')[1], 'base64url').toString())
    assert.deepEqual([claims.sub, claims.aud, claims.iss], [me, ['vault'], house.issuer])
  })

  test('another audience is refused with 403', async () => {
    const { status, json } = await post(url, '/api/v1/token', { audience: 'https://not-on-the-list.example' })
    assert.deepEqual([status, json.error.code, json.error.step], [403, 'identity-refused', 'identity'])
  })

  test('it trades the token at STS and brings a story from Bedrock', async () => {
    const { status, json } = await post(url, '/api/v1/bedrock', { prompt: 'a courier without keys' })
    assert.equal(status, 200, JSON.stringify(json))
    assert.match(json.story, /a courier without keys/)
    assert.equal(json.subject, me)
    assert.ok(Date.parse(json.credentialsExpireAt) > Date.now())
  })

  test('its page comes whole', async () => {
    const response = await fetch(url)
    assert.equal(response.status, 200)
    assert.match(response.headers.get('content-security-policy') ?? '', /script-src 'sha256-/)
    assert.match(await response.text(), /<\/html>\s*$/)
  })

  test('what it does not know is 404 and 405', async () => {
    assert.equal((await fetch(`${url}/nothing`)).status, 404)
    assert.equal((await fetch(`${url}/api/v1/token`)).status, 405)
  })

  test('a body beyond 64 KiB is 413', async () => {
    assert.equal((await post(url, '/api/v1/token', { audience: 'x'.repeat(70_000) })).status, 413)
  })

  test('a role that trusts another component refuses it, in AWS’s own words', async () => {
    await using strict = await startAwsStandIns({
      issuer: house.issuer,
      audience: 'sts.amazonaws.com',
      subjects: ['spiffe://development.local/default/whoami-c'],
    })
    const environment = { AWS_ROLE_ARN: strict.roleArn, AWS_ENDPOINT_URL_STS: strict.stsUrl }
    const refused = await house.deploy('api-gateway', { environment, allowedHosts: [strict.stsUrl], poolSize: 1 })
    const { status, json, text } = await post(refused.url, '/api/v1/bedrock')
    assert.deepEqual([status, json.error.code, json.error.step], [403, 'AccessDenied', 'exchange'])
    assert.doesNotMatch(text, /eyJ/)
    await refused.cell.close()
  })

  test('a host that is not in allowedHosts is not reached', async () => {
    const { environment } = atAws()
    const shut = await house.deploy('api-gateway', { environment, allowedHosts: [], poolSize: 1 })
    const { status, json } = await post(shut.url, '/api/v1/exchange')
    assert.deepEqual([status, json.error.code], [502, 'not-reachable'])
    await shut.cell.close()
  })

  test('requests side by side each get their own answer', async () => {
    const prompts = Array.from({ length: 12 }, (_, n) => `story number ${n}`)
    const answers = await Promise.all(prompts.map((prompt) => post(url, '/api/v1/bedrock', { prompt })))
    for (const [n, { status, json }] of answers.entries()) {
      assert.equal(status, 200, JSON.stringify(json))
      assert.ok(json.story.includes(`“${prompts[n]}”`))
    }
  })

  test('no token is in what the house logged', () => {
    assert.doesNotMatch(house.logText(), /eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  })
})
