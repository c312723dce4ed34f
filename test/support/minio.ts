import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { freePort } from './free-port.ts'
import { urlAnswers } from './reachable.ts'
import { startServerProcess } from './server-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'

export interface MinioOptions {
  /** `.well-known/openid-configuration` of the issuer to trust, such as `spire.discoveryUrl`. It must answer before MinIO starts. */
  readonly oidcConfigUrl: string
  /** The audience that tokens must be for; default `sts.amazonaws.com`. */
  readonly clientId?: string
  /** The MinIO policy of who assumes the role; default `readwrite`. */
  readonly rolePolicy?: string
}

/** A real STS and object store. Disposal kills it and removes its data. */
export interface Minio extends AsyncDisposable {
  /** Both of STS (`AssumeRoleWithWebIdentity`) and of S3 (path-style), over http. */
  readonly endpoint: string
  /** Any will do. */
  readonly region: 'us-east-1'
  /** The role that a trusted token may assume. */
  readonly roleArn: string
  /** Random, of this server only; for the test's own set-up, never for a component. */
  readonly rootUser: string
  readonly rootPassword: string
  /** Both act as root. */
  makeBucket(bucket: string): Promise<void>
  putObject(bucket: string, key: string, body: string | Uint8Array): Promise<void>
  logs(): string
}

/** Starts MinIO with an OpenID provider whose tokens may assume one role. @throws with the end of its log if it does not become ready. */
export async function startMinio(options: MinioOptions): Promise<Minio> {
  const programs = await buildServer('minio')
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const [port, consolePort] = [await freePort(), await freePort()]
  const endpoint = `http://127.0.0.1:${port}`
  const [rootUser, rootPassword] = [randomBytes(8).toString('hex'), randomBytes(20).toString('hex')]
  const server = cleanup.use(
    await startServerProcess({
      name: 'minio',
      program: join(programs, 'minio'),
      args: [
        ...['server', join(directory, 'data'), '--address', `127.0.0.1:${port}`],
        ...['--console-address', `127.0.0.1:${consolePort}`, '--certs-dir', join(directory, 'certs')],
      ],
      env: {
        HOME: directory,
        MINIO_ROOT_USER: rootUser,
        MINIO_ROOT_PASSWORD: rootPassword,
        MINIO_BROWSER: 'off',
        MINIO_UPDATE: 'off',
        MINIO_IDENTITY_OPENID_CONFIG_URL: options.oidcConfigUrl,
        MINIO_IDENTITY_OPENID_CLIENT_ID: options.clientId ?? 'sts.amazonaws.com',
        MINIO_IDENTITY_OPENID_ROLE_POLICY: options.rolePolicy ?? 'readwrite',
      },
      isReady: (signal) => urlAnswers(`${endpoint}/minio/health/ready`, signal),
    }),
  )
  const roleArn = await roleArnIn(() => server.log.text())
  const region = 'us-east-1'
  const s3 = cleanup.adopt(
    new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId: rootUser, secretAccessKey: rootPassword },
    }),
    (client) => client.destroy(),
  )
  const owned = cleanup.move()
  return {
    endpoint,
    region,
    roleArn,
    rootUser,
    rootPassword,
    async makeBucket(bucket) {
      await s3.send(new CreateBucketCommand({ Bucket: bucket }))
    },
    async putObject(bucket, key, body) {
      await s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
    },
    logs: () => server.log.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** MinIO prints the role's ARN when it has read the provider's configuration, which may be just after it is ready. */
async function roleArnIn(log: () => string): Promise<string> {
  const deadline = performance.now() + 15_000
  while (true) {
    const arn = /arn:minio:iam:::role\/[\w-]+/.exec(log())?.[0]
    if (arn !== undefined) return arn
    if (performance.now() > deadline) {
      throw new Error(`MinIO printed no role ARN within 15 s: did it trust the OpenID provider? Its log:\n${log()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
