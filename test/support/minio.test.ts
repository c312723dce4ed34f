import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { type Minio, startMinio } from './minio.ts'
import { type Spire, startSpire } from './spire.ts'

const spiffeId = 'spiffe://example.org/default/api-gateway'

suite('MinIO as an STS that trusts SPIRE', () => {
  let spire: Spire
  let minio: Minio
  before(async () => {
    spire = await startSpire()
    minio = await startMinio({ oidcConfigUrl: spire.discoveryUrl })
    await minio.makeBucket('stories')
    await minio.putObject('stories', 'first', 'once upon a time')
  })
  after(async () => {
    await minio?.[Symbol.asyncDispose]()
    await spire?.[Symbol.asyncDispose]()
  })

  const assumeRole = async (token: string) => {
    const sts = new STSClient({ endpoint: minio.endpoint, region: minio.region, maxAttempts: 1 })
    const command = { RoleArn: minio.roleArn, RoleSessionName: 'test', WebIdentityToken: token, DurationSeconds: 900 }
    return (await sts.send(new AssumeRoleWithWebIdentityCommand(command))).Credentials
  }
  const read = async (credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string }) => {
    const { endpoint, region } = minio
    const s3 = new S3Client({ endpoint, region, forcePathStyle: true, credentials, maxAttempts: 1 })
    const object = await s3.send(new GetObjectCommand({ Bucket: 'stories', Key: 'first' }))
    return object.Body?.transformToString()
  }

  test('a JWT-SVID of SPIRE is traded for credentials of 15 minutes that read an object', async () => {
    const answer = await assumeRole(await spire.mintJwtSvid({ spiffeId, audience: 'sts.amazonaws.com' }))
    const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '', Expiration } = answer ?? {}
    const secondsLeft = (Number(Expiration) - Date.now()) / 1000
    assert.ok(secondsLeft > 840 && secondsLeft <= 901, `the credentials hold for ${secondsLeft} s`)
    const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
    assert.equal(await read(credentials), 'once upon a time')
    await assert.rejects(read({ ...credentials, secretAccessKey: `${SecretAccessKey}x` }), {
      name: 'SignatureDoesNotMatch',
    })
  })

  test('a JWT-SVID for another audience is refused', async () => {
    const token = await spire.mintJwtSvid({ spiffeId, audience: 'someone-else' })
    await assert.rejects(assumeRole(token), {
      name: 'InvalidParameterValue',
      message: /must match configured OpenID Client ID/,
    })
  })

  test('an altered JWT-SVID is refused', async () => {
    const [header, payload = '', signature] = (
      await spire.mintJwtSvid({ spiffeId, audience: 'sts.amazonaws.com' })
    ).split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'spiffe://example.org/admin' })).toString('base64url')
    await assert.rejects(assumeRole(`${header}.${forged}.${signature}`), {
      name: 'InvalidParameterValue',
      message: /verification error/,
    })
  })

  test('a JWT-SVID of a SPIRE that it does not trust is refused', async () => {
    await using stranger = await startSpire({ agent: false })
    const token = await stranger.mintJwtSvid({ spiffeId, audience: 'sts.amazonaws.com' })
    await assert.rejects(assumeRole(token), { name: 'InvalidParameterValue' })
  })
})
