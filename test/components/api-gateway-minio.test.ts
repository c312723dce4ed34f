import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import test, { after, before, describe } from 'node:test'
import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { type Minio, startMinio } from '../support/minio.ts'
import { type ComponentHouse, openComponentHouse } from './component-house.ts'

// A real STS and S3 that know nothing of us: MinIO trusts the development authority by its discovery document.
describe('api-gateway against a real STS and S3', () => {
  let house: ComponentHouse
  let minio: Minio
  let url: string
  const large = randomBytes(3_000_000)

  before(async () => {
    house = await openComponentHouse()
    minio = await startMinio({ oidcConfigUrl: `${house.issuer}/.well-known/openid-configuration` })
    await minio.makeBucket('letters')
    await minio.putObject('letters', 'greeting.txt', 'hello from the bucket')
    await minio.putObject('letters', 'a folder/with ü & more.txt', 'encoded')
    await minio.putObject('letters', 'large.bin', large)
    url = (await house.deploy('api-gateway', atMinio())).url
  })
  after(async () => {
    await minio?.[Symbol.asyncDispose]()
    await house[Symbol.asyncDispose]()
  })

  function atMinio(environment: Record<string, string> = {}) {
    return {
      environment: {
        AWS_ROLE_ARN: minio.roleArn,
        AWS_REGION: minio.region,
        AWS_ENDPOINT_URL_STS: minio.endpoint,
        AWS_ENDPOINT_URL_S3: minio.endpoint,
        S3_BUCKET: 'letters',
        ...environment,
      },
      allowedHosts: [minio.endpoint],
      audiences: 'sts.amazonaws.com, another',
    }
  }

  test('it trades its token and reads an object', async () => {
    const response = await fetch(`${url}/api/v1/object/greeting.txt`)
    assert.equal(response.status, 200, await response.clone().text())
    assert.equal(await response.text(), 'hello from the bucket')
  })

  test('a key with slashes, spaces and other letters is read as it is', async () => {
    const response = await fetch(
      `${url}/api/v1/object/${encodeURIComponent('a folder')}/${encodeURIComponent('with ü & more.txt')}`,
    )
    assert.equal(await response.text(), 'encoded')
  })

  test('an object of 3 MB comes through whole', async () => {
    const response = await fetch(`${url}/api/v1/object/large.bin`)
    assert.equal(response.headers.get('content-length'), '3000000')
    const received = Buffer.from(await response.arrayBuffer())
    assert.equal(createHash('sha256').update(received).digest('hex'), createHash('sha256').update(large).digest('hex'))
  })

  test('an object that is not there is 404 NoSuchKey', async () => {
    const response = await fetch(`${url}/api/v1/object/nothing`)
    const { error } = (await response.json()) as { error: { code: string; step: string } }
    assert.deepEqual([response.status, error.code, error.step], [404, 'NoSuchKey', 's3'])
  })

  test('a token for another audience is refused, in MinIO’s own words', async () => {
    const other = await house.deploy('api-gateway', { ...atMinio({ HERALD_AUDIENCE: 'another' }), poolSize: 1 })
    const response = await fetch(`${other.url}/api/v1/object/greeting.txt`)
    const { error } = (await response.json()) as { error: { code: string; message: string; step: string } }
    assert.deepEqual([response.status, error.code, error.step], [403, 'InvalidParameterValue', 'exchange'])
    assert.match(error.message, /must match configured OpenID Client ID/)
    await other.cell.close()
  })

  test('its own token, altered by one claim, is refused', async () => {
    const answer = await fetch(`${url}/api/v1/token`, { method: 'POST' })
    const { token } = (await answer.json()) as { token: string }
    const sts = new STSClient({ region: minio.region, endpoint: minio.endpoint, maxAttempts: 1 })
    const assume = (WebIdentityToken: string) =>
      sts.send(
        new AssumeRoleWithWebIdentityCommand({ RoleArn: minio.roleArn, RoleSessionName: 'test', WebIdentityToken }),
      )
    const granted = await assume(token)
    assert.ok(granted.Credentials?.SessionToken)
    const [head, payload, signature] = token.split('.') as [string, string, string]
    const claims = {
      ...JSON.parse(Buffer.from(payload, 'base64url').toString()),
      sub: 'spiffe://development.local/default/other',
    }
    const altered = [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
    await assert.rejects(assume(altered), { name: 'InvalidParameterValue', message: /verification error/ })
    sts.destroy()
  })

  test('no token is in what the house and MinIO logged', () => {
    assert.doesNotMatch(house.logText() + minio.logs(), /eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  })
})
