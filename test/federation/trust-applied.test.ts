import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { nkeys } from 'nats'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { parseCalloutPolicy, permissionOf } from '../../src/callout/callout-policy.ts'
import { sha256Hex, signAws } from '../../src/federation/aws-signature.ts'
import { trustPolicy } from '../../src/federation/trust/trust-policy.ts'
import { trustScript } from '../../src/federation/trust/trust-script.ts'
import { inboxPrefixOf } from '../../src/lattice/subjects.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { startAwsStandIns } from '../relying-parties/aws-stand-ins.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { startNats } from '../support/nats.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { policyFile } from './policy-file.ts'

const component = 'spiffe://example.org/default/api-gateway'
const neighbour = 'spiffe://example.org/default/neighbour'
let spire: Spire
before(async () => {
  spire = await startSpire()
})
after(async () => {
  await spire[Symbol.asyncDispose]()
})

test('what trust spire prints, run as it is, makes the entry in a real SPIRE server', async () => {
  const policy = trustPolicy('spire', {
    spiffeId: component,
    settings: {
      selector: ['wasmcloud:component:api-gateway', 'wasmcloud:namespace:shop'],
      'socket-path': spire.serverSocketPath,
      'jwt-ttl': '120',
    },
  })
  const programs = await buildServer('spire')
  const result = await runProgram('sh', ['-ec', trustScript(policy)], {
    env: { ...process.env, PATH: `${programs}:${process.env.PATH}` },
  })
  assert.equal(result.exitCode, 0, result.output)
  const entry = (await spire.listEntries()).find(({ spiffeId }) => spiffeId === component)
  assert.ok(entry, 'the entry is there')
  assert.equal(entry.parentId, spire.hostSpiffeId)
  assert.deepEqual([...entry.selectors].sort(), ['wasmcloud:component:api-gateway', 'wasmcloud:namespace:shop'])
})

test('what trust minio prints lets the one component read the one bucket of a real MinIO, and nobody else; and so do the permissions of trust aws', async () => {
  const policy = trustPolicy('minio', { spiffeId: component, issuer: spire.issuer, settings: { bucket: 'stories' } })
  const environment = new Map(
    policyFile(policy, 'minio.env')
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
  )
  await using minio = await startMinio({
    oidcConfigUrl: environment.get('MINIO_IDENTITY_OPENID_CONFIG_URL') ?? '',
    clientId: environment.get('MINIO_IDENTITY_OPENID_CLIENT_ID') ?? '',
    rolePolicy: environment.get('MINIO_IDENTITY_OPENID_ROLE_POLICY') ?? '',
  })
  await addPolicy(minio, environment.get('MINIO_IDENTITY_OPENID_ROLE_POLICY') ?? '', policyFile(policy, 'policy.json'))
  await minio.makeBucket('stories')
  await minio.putObject('stories', 'once.txt', 'once upon a time')
  await minio.makeBucket('secrets')
  await minio.putObject('secrets', 'once.txt', 'not yours')

  using mine = await s3As(minio, component)
  const answer = await mine.client.send(new GetObjectCommand({ Bucket: 'stories', Key: 'once.txt' }))
  assert.equal(await answer.Body?.transformToString(), 'once upon a time')
  const denied = { name: 'AccessDenied' }
  await assert.rejects(mine.client.send(new GetObjectCommand({ Bucket: 'secrets', Key: 'once.txt' })), denied)
  await assert.rejects(mine.client.send(new PutObjectCommand({ Bucket: 'stories', Key: 'x', Body: 'x' })), denied)

  using theirs = await s3As(minio, neighbour)
  await assert.rejects(theirs.client.send(new GetObjectCommand({ Bucket: 'stories', Key: 'once.txt' })), denied)

  // What trust aws prints as permissions, in the same grammar: MinIO's engine is not IAM, but one that is asked for real.
  const aws = trustPolicy('aws', {
    ...{ spiffeId: component, issuer: 'https://oidc.example.org', audience: 'sts.amazonaws.com' },
    settings: { account: '123456789012', allow: ['s3:GetObject=arn:aws:s3:::secrets/o*'] },
  })
  const role = environment.get('MINIO_IDENTITY_OPENID_ROLE_POLICY') ?? ''
  await addPolicy(minio, role, policyFile(aws, 'permissions.json'))
  using allowed = await s3As(minio, component)
  const other = await allowed.client.send(new GetObjectCommand({ Bucket: 'secrets', Key: 'once.txt' }))
  assert.equal(await other.Body?.transformToString(), 'not yours')
  for (const [Bucket, Key] of [
    ['secrets', 'another.txt'],
    ['stories', 'once.txt'],
  ]) {
    await assert.rejects(allowed.client.send(new GetObjectCommand({ Bucket, Key })), denied)
  }
  await assert.rejects(
    allowed.client.send(new PutObjectCommand({ Bucket: 'secrets', Key: 'once.txt', Body: '' })),
    denied,
  )
})

test('the trust policy that trust aws prints lets in the one SPIFFE ID and audience, evaluated as IAM does', async () => {
  const policy = trustPolicy('aws', {
    spiffeId: component,
    issuer: spire.issuer,
    settings: { account: '000000000000' },
  })
  await using aws = await startAwsStandIns({
    issuer: spire.issuer,
    audience: 'sts.amazonaws.com',
    subjects: [],
    trustPolicy: JSON.parse(policyFile(policy, 'trust-policy.json')),
  })
  const assume = async (spiffeId: string, audience: string) => {
    using stack = new DisposableStack()
    const client = stack.adopt(new STSClient({ endpoint: aws.stsUrl, region: aws.region }), (owned) => owned.destroy())
    return client.send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: aws.roleArn,
        RoleSessionName: 'herald',
        DurationSeconds: 900,
        WebIdentityToken: await spire.mintJwtSvid({ spiffeId, audience }),
      }),
    )
  }
  const granted = await assume(component, 'sts.amazonaws.com')
  assert.ok(granted.Credentials?.SessionToken)
  await assert.rejects(assume(neighbour, 'sts.amazonaws.com'), { name: 'AccessDenied' })
  await assert.rejects(assume(component, 'other'), /Incorrect token audience/)
})

test('a real nats-server accepts the configuration that trust nats prints, and the callout service its policy', async () => {
  const policy = trustPolicy('nats', {
    spiffeId: component,
    settings: {
      'callout-issuer': nkeys.createAccount().getPublicKey(),
      'callout-user': nkeys.createUser().getPublicKey(),
      'callout-xkey': nkeys.createCurve().getPublicKey(),
      publish: ['orders.>'],
    },
  })
  await using nats = await startNats({ config: policyFile(policy, 'nats-auth.conf') })
  assert.match(nats.logs(), /Server is ready/)
  const callout = parseCalloutPolicy(policyFile(policy, 'policy.yaml'), 'policy.yaml')
  const { account, publish, subscribe } = permissionOf(callout, parseSpiffeId(component))
  assert.deepEqual(
    { account, publish, audience: callout.audience },
    { account: 'HERALD', publish: ['orders.>'], audience: 'nats' },
  )
  assert.deepEqual(subscribe, [`${inboxPrefixOf(component)}.>`])
  assert.throws(() => permissionOf(callout, parseSpiffeId(neighbour)), { code: 'ERR_CALLOUT_DENIED' })
})

test('every printed script is one that sh can read', async () => {
  using directory = temporaryDirectory()
  const policy = trustPolicy('gcp', {
    spiffeId: component,
    issuer: 'https://oidc.example.org',
    settings: {
      'project-number': '123456789012',
      provider: 'api-gateway',
      'service-account': 'reader@shop.iam.gserviceaccount.com',
    },
  })
  const path = join(directory.path, 'trust.sh')
  writeFileSync(path, trustScript(policy))
  // gcloud is replaced by what shows its arguments: quoting is what is at stake.
  writeFileSync(join(directory.path, 'gcloud'), '#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n', {
    mode: 0o755,
  })
  const result = await runProgram('sh', ['-e', path], {
    cwd: directory.path,
    env: { PATH: `${directory.path}:/usr/bin:/bin` },
  })
  assert.equal(result.exitCode, 0, result.output)
  assert.match(
    result.stdout,
    /^<--attribute-condition=assertion\.sub == 'spiffe:\/\/example\.org\/default\/api-gateway'>$/m,
  )
  assert.match(
    result.stdout,
    /^<principal:\/\/iam\.googleapis\.com\/.*\/subject\/spiffe:\/\/example\.org\/default\/api-gateway>$/m,
  )
})

/** `mc admin policy create`, by the request it makes. */
async function addPolicy(minio: Minio, name: string, policy: string): Promise<void> {
  const url = new URL(`${minio.endpoint}/minio/admin/v3/add-canned-policy?name=${name}`)
  const request = { method: 'PUT', url, headers: {}, bodySha256: sha256Hex(policy) }
  const keys = { accessKeyId: minio.rootUser, secretAccessKey: minio.rootPassword, sessionToken: undefined }
  const headers = signAws(request, keys, { region: minio.region, service: 's3', nowMs: Date.now() })
  const response = await fetch(url, { method: 'PUT', body: policy, headers })
  assert.equal(response.status, 200, await response.text())
}

async function s3As(minio: Minio, spiffeId: string): Promise<Disposable & { client: S3Client }> {
  const { endpoint, region } = minio
  const sts = new STSClient({ endpoint, region })
  const { Credentials: given } = await sts.send(
    new AssumeRoleWithWebIdentityCommand({
      RoleArn: minio.roleArn,
      RoleSessionName: 'herald',
      DurationSeconds: 900,
      WebIdentityToken: await spire.mintJwtSvid({ spiffeId, audience: 'sts.amazonaws.com' }),
    }),
  )
  sts.destroy()
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: {
      accessKeyId: given?.AccessKeyId ?? '',
      secretAccessKey: given?.SecretAccessKey ?? '',
      sessionToken: given?.SessionToken ?? '',
    },
  })
  return { client, [Symbol.dispose]: () => client.destroy() }
}
