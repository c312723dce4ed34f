import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { type AwsStandIns, startAwsStandIns } from './aws-stand-ins.ts'
import { type OidcIssuerStandIn, startOidcIssuerStandIn } from './oidc-issuer-stand-in.ts'

// The real AWS SDK for Node against the stand-ins: what it understands, a component understands.
const me = 'spiffe://example.org/default/api-gateway'

describe('the AWS stand-ins', () => {
  let nowMs = Date.now()
  const lines: string[] = []
  let issuer: OidcIssuerStandIn
  let stranger: OidcIssuerStandIn
  let aws: AwsStandIns

  before(async () => {
    issuer = await startOidcIssuerStandIn({ nowMs: () => nowMs })
    stranger = await startOidcIssuerStandIn({ nowMs: () => nowMs })
    aws = await startAwsStandIns({
      issuer: issuer.issuer,
      audience: 'sts.amazonaws.com',
      subjects: ['spiffe://example.org/*/api-gateway'],
      nowMs: () => nowMs,
      log: (line) => lines.push(line),
    })
  })
  after(async () => {
    await Promise.all([issuer.close(), stranger.close(), aws.close()])
  })

  async function assume(token: string, { durationS = 900, roleArn = aws.roleArn } = {}) {
    const sts = new STSClient({ region: aws.region, endpoint: aws.stsUrl, maxAttempts: 1 })
    const input = { RoleArn: roleArn, RoleSessionName: 'test', WebIdentityToken: token, DurationSeconds: durationS }
    const answer = await sts.send(new AssumeRoleWithWebIdentityCommand(input)).finally(() => sts.destroy())
    const { AccessKeyId, SecretAccessKey, SessionToken } = answer.Credentials!
    return {
      answer,
      credentials: { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: SessionToken! },
    }
  }

  async function converse(
    credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string },
    { prompt = 'a short one', modelId = 'amazon.nova-lite-v1:0', region = aws.region } = {},
  ) {
    // Left to itself this client speaks HTTP/2 on Node, and the stand-in HTTP/1.1, as in a component.
    const requestHandler = new NodeHttpHandler()
    const bedrock = new BedrockRuntimeClient({
      region,
      endpoint: aws.bedrockUrl,
      credentials,
      requestHandler,
      maxAttempts: 1,
    })
    const messages = [{ role: 'user' as const, content: [{ text: prompt }] }]
    const answer = await bedrock.send(new ConverseCommand({ modelId, messages })).finally(() => bedrock.destroy())
    return answer.output!.message!.content![0]!.text!
  }

  test('a good token gives credentials for as long as asked, and they open Bedrock', async () => {
    const { answer, credentials } = await assume(await issuer.sign({}))
    assert.equal(answer.SubjectFromWebIdentityToken, me)
    assert.match(answer.AssumedRoleUser!.Arn!, /^arn:aws:sts::\d+:assumed-role\/herald-demo\/test$/)
    const holdS = (answer.Credentials!.Expiration!.getTime() - nowMs) / 1000
    assert.ok(holdS > 898 && holdS <= 900, `${holdS} s`)
    const story = await converse(credentials, { prompt: 'the tide' })
    assert.match(story, /stand-in/)
    assert.match(story, /the tide/)
    assert.equal(await converse(credentials, { prompt: 'the tide' }), story)
    assert.notEqual(await converse(credentials, { prompt: 'the moon' }), story)
  })

  function altered(token: string): string {
    const [head, , signature] = token.split('.')
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
    return [
      head,
      Buffer.from(JSON.stringify({ ...claims, exp: claims.exp + 3600 })).toString('base64url'),
      signature,
    ].join('.')
  }

  const refusedTokens: Record<string, { token: () => Promise<string>; name: string; status: number; message: RegExp }> =
    {
      'an altered token': {
        token: async () => altered(await issuer.sign({})),
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: /signature/i,
      },
      'a forged token': {
        token: () => issuer.forge({}),
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: /signature/i,
      },
      'a token for another audience': {
        token: () => issuer.sign({ aud: ['api://AzureADTokenExchange'] }),
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: /audience/,
      },
      'a token of another component': {
        token: () => issuer.sign({ sub: 'spiffe://example.org/default/whoami-c' }),
        name: 'AccessDenied',
        status: 403,
        message: /Not authorized to perform sts:AssumeRoleWithWebIdentity/,
      },
      'a token whose subject only begins like the right one': {
        token: () => issuer.sign({ sub: `${me}-2` }),
        name: 'AccessDenied',
        status: 403,
        message: /Not authorized/,
      },
      'an expired token': {
        token: () => issuer.sign({ issuedInS: -600, expiresInS: -1 }),
        name: 'ExpiredTokenException',
        status: 400,
        message: /expired/,
      },
      'a token issued in the future': {
        token: () => issuer.sign({ issuedInS: 900, expiresInS: 1800 }),
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: /not valid yet/,
      },
      'a token of an issuer that the account does not know': {
        token: () => stranger.sign({}),
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: /No OpenIDConnect provider found/,
      },
      'a stranger’s token that names the known issuer': {
        token: () => stranger.sign({ iss: issuer.issuer }),
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: /signature/i,
      },
      'something that is no token': {
        token: async () => 'not-a-token',
        name: 'InvalidIdentityTokenException',
        status: 400,
        message: /not a valid JWT/,
      },
    }
  for (const [what, { token, name, status, message }] of Object.entries(refusedTokens)) {
    test(`${what} is refused with ${name}`, async () => {
      await assert.rejects(assume(await token()), (error: Error & { $metadata: { httpStatusCode: number } }) => {
        assert.equal(error.name, name)
        assert.equal(error.$metadata.httpStatusCode, status)
        assert.match(error.message, message)
        return true
      })
    })
  }

  test('a role that is not there is refused like one that is not for us', async () => {
    const roleArn = 'arn:aws:iam::000000000000:role/other'
    await assert.rejects(assume(await issuer.sign({}), { roleArn }), { name: 'AccessDenied' })
  })

  for (const durationS of [899, 3601, 43_201]) {
    test(`a session of ${durationS} s is refused: the role allows 900 to 3600`, async () => {
      await assert.rejects(assume(await issuer.sign({}), { durationS }), { name: 'ValidationError' })
    })
  }

  test('an issuer whose discovery document cannot be fetched is an IDPCommunicationError', async () => {
    const gone = await startOidcIssuerStandIn({ nowMs: () => nowMs })
    await using lonely = await startAwsStandIns({ issuer: gone.issuer, audience: 'sts.amazonaws.com', subjects: [me] })
    const token = await gone.sign({})
    await gone.close()
    const sts = new STSClient({ region: aws.region, endpoint: lonely.stsUrl, maxAttempts: 1 })
    const input = { RoleArn: lonely.roleArn, RoleSessionName: 'test', WebIdentityToken: token }
    await assert.rejects(sts.send(new AssumeRoleWithWebIdentityCommand(input)), {
      name: 'IDPCommunicationErrorException',
    })
    sts.destroy()
  })

  test('Bedrock refuses keys that were never issued', async () => {
    const made = { accessKeyId: 'ASIAAAAAAAAAAAAAAAAA', secretAccessKey: 'x'.repeat(40), sessionToken: 'y' }
    await assert.rejects(converse(made), { name: 'UnrecognizedClientException' })
  })

  test('Bedrock refuses a right key with another session token', async () => {
    const { credentials } = await assume(await issuer.sign({}))
    await assert.rejects(converse({ ...credentials, sessionToken: 'another' }), { name: 'UnrecognizedClientException' })
    const { sessionToken, ...longLived } = credentials
    assert.ok(sessionToken)
    await assert.rejects(converse(longLived), { name: 'UnrecognizedClientException' })
  })

  test('Bedrock refuses a signature made with another secret', async () => {
    const { credentials } = await assume(await issuer.sign({}))
    const altered = { ...credentials, secretAccessKey: `${credentials.secretAccessKey.slice(0, -1)}!` }
    await assert.rejects(converse(altered), { name: 'InvalidSignatureException' })
  })

  test('Bedrock refuses a signature for another region', async () => {
    const { credentials } = await assume(await issuer.sign({}))
    await assert.rejects(converse(credentials, { region: 'eu-west-1' }), { name: 'InvalidSignatureException' })
  })

  test('Bedrock refuses a request without a signature', async () => {
    const response = await fetch(`${aws.bedrockUrl}/model/amazon.nova-lite-v1%3A0/converse`, {
      method: 'POST',
      body: '{}',
    })
    assert.equal(response.status, 403)
    assert.match(response.headers.get('x-amzn-errortype')!, /^MissingAuthenticationTokenException/)
  })

  test('Bedrock refuses a model that it does not have', async () => {
    const { credentials } = await assume(await issuer.sign({}))
    await assert.rejects(converse(credentials, { modelId: 'nobody.model-v1' }), { name: 'ValidationException' })
  })

  test('Bedrock refuses credentials once they have expired', async () => {
    const { credentials } = await assume(await issuer.sign({}))
    const startMs = nowMs
    try {
      nowMs = startMs + 899_000
      await assert.rejects(
        converse(credentials),
        { name: 'InvalidSignatureException' },
        'still holds, but the request’s date is off',
      )
      nowMs = startMs + 900_000
      await assert.rejects(converse(credentials), { name: 'ExpiredTokenException' })
    } finally {
      nowMs = startMs
    }
  })

  test('no line of the stand-ins’ log holds a token or a key', () => {
    assert.ok(lines.length > 10)
    assert.doesNotMatch(lines.join('\n'), /eyJ|ASIA/)
  })
})
