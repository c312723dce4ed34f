import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { fromAwsError } from './aws-refusal.js'
import { Refusal } from './refusal.js'

/** The shortest that STS grants, seconds: what is stolen is soon worthless. */
const sessionS = 900
/** Credentials are not used any more so long before they end, ms. */
const renewBeforeMs = 60_000

/**
 * What this component does at AWS. Every use asks for the identity first, even when credentials are still at hand: a component that
 * has lost its identity has lost what it was traded for.
 *
 * @param {object} parts
 * @param {import('./configuration.js').Configuration} parts.configuration
 * @param {() => { token: string, subject: string }} parts.askIdentity
 * @param {() => number} parts.now milliseconds since the Unix epoch
 */
export function createAwsSession({ configuration, askIdentity, now }) {
  const { region, endpoints } = configuration
  const common = { region, requestHandler: { requestTimeout: 20_000 }, maxAttempts: 2 }
  const sts = new STSClient({ ...common, ...(endpoints.sts && { endpoint: endpoints.sts }) })
  /** @type {{ subject: string, clients: object, expiresAt: Date, accessKeyId: string } | undefined} */
  let current

  async function session() {
    const { token, subject } = askIdentity()
    if (current?.subject === subject && current.expiresAt.getTime() - now() > renewBeforeMs) return current
    current = undefined
    const credentials = await exchange(token, subject)
    current = {
      subject,
      expiresAt: credentials.expiration,
      accessKeyId: credentials.accessKeyId,
      clients: {
        bedrock: new BedrockRuntimeClient({
          ...common,
          credentials,
          ...(endpoints.bedrock && { endpoint: endpoints.bedrock }),
        }),
        s3: new S3Client({
          ...common,
          credentials,
          forcePathStyle: true,
          responseChecksumValidation: 'WHEN_REQUIRED',
          ...(endpoints.s3 && { endpoint: endpoints.s3 }),
        }),
      },
    }
    return current
  }

  async function exchange(token, subject) {
    if (configuration.roleArn === undefined) {
      throw new Refusal(500, 'not-configured', 'set AWS_ROLE_ARN in the component’s environment', 'exchange')
    }
    const { Credentials: granted } = await sts
      .send(
        new AssumeRoleWithWebIdentityCommand({
          RoleArn: configuration.roleArn,
          RoleSessionName: sessionName(subject),
          WebIdentityToken: token,
          DurationSeconds: sessionS,
        }),
      )
      .catch((error) => {
        throw fromAwsError(error, 'exchange', [token])
      })
    return {
      accessKeyId: granted.AccessKeyId,
      secretAccessKey: granted.SecretAccessKey,
      sessionToken: granted.SessionToken,
      expiration: granted.Expiration,
    }
  }

  /** Credentials that the service does not take any more are forgotten, so that the next request trades anew. */
  function refusedBy(step) {
    return (error) => {
      const refusal = fromAwsError(error, step, [])
      if (refusal.status === 403) current = undefined
      throw refusal
    }
  }

  return {
    /** Trades if need be, and says with whose identity and until when. */
    async describe() {
      const { subject, expiresAt, accessKeyId } = await session()
      return {
        subject,
        roleArn: configuration.roleArn,
        accessKeyId: `${accessKeyId.slice(0, 4)}…`,
        credentialsExpireAt: expiresAt,
      }
    },

    /** @param {string} prompt */
    async converse(prompt) {
      const { clients, subject, expiresAt } = await session()
      const answer = await clients.bedrock
        .send(
          new ConverseCommand({
            modelId: configuration.modelId,
            messages: [{ role: 'user', content: [{ text: prompt }] }],
            inferenceConfig: { maxTokens: 512, temperature: 0.7 },
          }),
        )
        .catch(refusedBy('bedrock'))
      const story = (answer.output?.message?.content ?? []).map(({ text }) => text ?? '').join('')
      return { story, model: configuration.modelId, subject, credentialsExpireAt: expiresAt }
    },

    /** @param {string} key */
    async getObject(key) {
      if (configuration.bucket === undefined) {
        throw new Refusal(500, 'not-configured', 'set S3_BUCKET in the component’s environment', 's3')
      }
      const { clients } = await session()
      const object = await clients.s3
        .send(new GetObjectCommand({ Bucket: configuration.bucket, Key: key }))
        .catch(refusedBy('s3'))
      return {
        body: readStream(object.Body),
        contentType: object.ContentType ?? 'application/octet-stream',
        lengthBytes: object.ContentLength,
      }
    },
  }
}

/** The end of the SPIFFE ID, in the characters and the length that STS allows: it shows in the account's audit trail. */
function sessionName(subject) {
  return subject
    .replace(/^spiffe:\/\//, '')
    .replace(/[^\w+=,.@-]/g, '-')
    .slice(-64)
    .padEnd(2, '-')
}

async function* readStream(stream) {
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}
