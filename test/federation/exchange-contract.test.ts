import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { systemClock } from '../../src/clock/clock.ts'
import { type HeraldError, isHeraldError } from '../../src/errors/herald-error.ts'
import { audienceOf, type Binding, parseBinding } from '../../src/federation/binding.ts'
import { exchange } from '../../src/federation/exchange.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { startAwsStandIns } from '../relying-parties/aws-stand-ins.ts'
import { startMinio } from '../support/minio.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { startAssumeRoleStandIn } from './stand-ins/assume-role-stand-in.ts'
import { startEntraStandIn } from './stand-ins/entra-stand-in.ts'
import { startGcpStandIn } from './stand-ins/gcp-stand-in.ts'
import { startOauthStandIn } from './stand-ins/oauth-stand-in.ts'
import { startVaultStandIn } from './stand-ins/vault-stand-in.ts'

const component = 'spiffe://example.org/default/api-gateway'
const neighbour = 'spiffe://example.org/default/neighbour'
let spire: Spire
before(async () => {
  spire = await startSpire({ agent: false })
})
after(async () => {
  await spire[Symbol.asyncDispose]()
})

const mint = async (audience: string, spiffeId = component) =>
  parseJwtSvid(await spire.mintJwtSvid({ spiffeId, audience }))
const context = () => ({ fetch, clock: systemClock, signal: AbortSignal.timeout(15_000) })
const trade = async (binding: Binding, spiffeId = component, audience = audienceOf(binding)) =>
  exchange(binding, await mint(audience, spiffeId), context())

async function refusedWith(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: HeraldError) => {
    assert.ok(isHeraldError(error, 'ERR_FEDERATION_REFUSED'), inspect(error))
    assert.match(error.message, message)
    assert.ok(error.hint)
    assert.doesNotMatch(inspect(error), /eyJ/, 'no token in the error')
    return true
  })
}

test('aws: the STS stand-in gives credentials of 15 minutes to the one component, with its own codes for everyone else', async () => {
  await using aws = await startAwsStandIns({
    issuer: spire.issuer,
    audience: 'sts.amazonaws.com',
    subjects: [component],
  })
  const binding = parseBinding('model', {
    provider: 'aws',
    'role-arn': aws.roleArn,
    region: aws.region,
    'sts-endpoint': aws.stsUrl,
  })
  const { credentials } = await trade(binding)
  const secret = credentials.reveal()
  assert.ok(
    secret.kind === 'aws' && aws.credentials.find(secret.accessKeyId)?.secretAccessKey === secret.secretAccessKey,
  )
  assert.match(aws.credentials.find(secret.accessKeyId)?.principalArn ?? '', /\/herald-default\.api-gateway$/)
  const leftMs = credentials.expiresAt.getTime() - Date.now()
  assert.ok(leftMs > 890_000 && leftMs <= 900_000)
  await refusedWith(trade(binding, neighbour), /AccessDenied/)
  await refusedWith(trade(binding, component, 'other'), /InvalidIdentityToken: Incorrect token audience/)
})

test('aws: roles are chained, each step signed with the credentials of the one before, tags and external ID passed on', async () => {
  await using aws = await startAwsStandIns({
    issuer: spire.issuer,
    audience: 'sts.amazonaws.com',
    subjects: [component],
  })
  await using sts = await startAssumeRoleStandIn({
    webIdentityStsUrl: aws.stsUrl,
    credentials: aws.credentials,
    externalId: 'shop',
  })
  const config = {
    provider: 'aws',
    'role-arn': aws.roleArn,
    region: aws.region,
    'sts-endpoint': sts.url,
    'chain-role-arns': 'arn:aws:iam::111111111111:role/hub, arn:aws:iam::222222222222:role/data',
    'external-id': 'shop',
    'session-tags': 'team=checkout,component=api-gateway',
  }
  const { credentials } = await trade(parseBinding('data', config))
  const secret = credentials.reveal()
  assert.ok(secret.kind === 'aws')
  assert.match(aws.credentials.find(secret.accessKeyId)?.principalArn ?? '', /222222222222:assumed-role\/data/)
  assert.deepEqual(
    sts.seen.map(({ roleArn, tags }) => [roleArn, tags]),
    [
      ['arn:aws:iam::111111111111:role/hub', { team: 'checkout', component: 'api-gateway' }],
      ['arn:aws:iam::222222222222:role/data', { team: 'checkout', component: 'api-gateway' }],
    ],
  )
  await refusedWith(trade(parseBinding('data', { ...config, 'external-id': 'wrong' })), /AccessDenied/)
})

test('aws: a real STS (MinIO) gives credentials that open a real bucket; an altered token and another audience are refused', async () => {
  await using minio = await startMinio({ oidcConfigUrl: spire.discoveryUrl })
  await minio.makeBucket('stories')
  await minio.putObject('stories', 'once.txt', 'once upon a time')
  const binding = parseBinding('storage', {
    provider: 'aws',
    'role-arn': minio.roleArn,
    region: minio.region,
    'sts-endpoint': minio.endpoint,
  })
  const { credentials } = await trade(binding)
  const secret = credentials.reveal()
  assert.ok(secret.kind === 'aws')
  const s3 = new S3Client({ endpoint: minio.endpoint, region: minio.region, forcePathStyle: true, credentials: secret })
  const answer = await s3.send(new GetObjectCommand({ Bucket: 'stories', Key: 'once.txt' }))
  assert.equal(await answer.Body?.transformToString(), 'once upon a time')
  s3.destroy()
  await refusedWith(trade(binding, component, 'other'), /InvalidParameterValue|AccessDenied/)
  const token = (await mint('sts.amazonaws.com')).reveal()
  const altered = parseJwtSvid(`${token.slice(0, -6)}${token.at(-6) === 'A' ? 'B' : 'A'}${token.slice(-5)}`)
  await refusedWith(exchange(binding, altered, context()), /verification error|InvalidParameterValue/)
})

const gcpProvider = 'projects/123456789012/locations/global/workloadIdentityPools/herald/providers/api-gateway'
const serviceAccount = 'reader@shop.iam.gserviceaccount.com'
const startGcp = () =>
  startGcpStandIn({
    issuer: spire.issuer,
    provider: gcpProvider,
    subject: component,
    allowedAudience: `https://iam.googleapis.com/${gcpProvider}`,
    serviceAccount,
  })

test('gcp: the token is exchanged at STS, and with a service account for one of its own', async () => {
  await using gcp = await startGcp()
  const config = {
    provider: 'gcp',
    'workload-identity-provider': gcpProvider,
    'token-endpoint': `${gcp.url}/v1/token`,
    'impersonation-endpoint': gcp.url,
  }
  const extras: Record<string, string>[] = [{}, { 'service-account': serviceAccount }]
  for (const extra of extras) {
    const { credentials } = await trade(parseBinding('model', { ...config, ...extra }))
    const secret = credentials.reveal()
    assert.ok(secret.kind === 'bearer' && gcp.accepts(secret.token))
  }
  const binding = parseBinding('model', config)
  await refusedWith(
    trade(binding, neighbour),
    /unauthorized_client: The given credential is rejected by the attribute condition/,
  )
  await refusedWith(trade(binding, component, 'other'), /invalid_grant/)
  await refusedWith(trade(binding, `spiffe://example.org/${'a'.repeat(120)}`), /127 bytes/)
  const other = parseBinding('model', { ...config, 'service-account': 'admin@shop.iam.gserviceaccount.com' })
  await refusedWith(trade(other), /PERMISSION_DENIED/)
})

const tenantId = '11111111-2222-3333-4444-555555555555'
const clientId = '66666666-7777-8888-9999-000000000000'
const startEntra = (unknownAtFirst = 0) =>
  startEntraStandIn({
    tenantId,
    clientId,
    unknownAtFirst,
    credential: { issuer: spire.issuer, subject: component, audience: 'api://AzureADTokenExchange' },
  })
const azureBinding = (authority: string) =>
  parseBinding('storage', {
    provider: 'azure',
    'tenant-id': tenantId,
    'client-id': clientId,
    scope: 'https://storage.azure.com/.default',
    authority,
  })

test('azure: the federated credential is believed, and each mismatch has its own hint', async () => {
  await using entra = await startEntra()
  const binding = azureBinding(entra.url)
  const secret = (await trade(binding)).credentials.reveal()
  assert.ok(secret.kind === 'bearer' && entra.accepts(secret.token))
  await refusedWith(trade(binding, neighbour), /AADSTS700213/)
  await refusedWith(trade(binding, component, 'sts.amazonaws.com'), /AADSTS700212/)
})

test('azure: AADSTS70021 of a credential that is still spreading is tried again until it is known', async () => {
  await using entra = await startEntra(3)
  const secret = (await trade(azureBinding(entra.url))).credentials.reveal()
  assert.ok(secret.kind === 'bearer' && entra.accepts(secret.token))
  assert.equal(entra.requests(), 4)
})

const startVault = () =>
  startVaultStandIn({
    boundIssuer: spire.issuer,
    databaseLeaseS: 600,
    secrets: { 'secret/data/shop/db': { username: 'shop', password: 'from-the-vault' } },
    roles: {
      'api-gateway': {
        role_type: 'jwt',
        bound_audiences: ['https://vault.example.org'],
        bound_subject: component,
        reads: ['secret/data/shop/db', 'database/creds/reader'],
        token_ttl_s: 900,
      },
    },
  })
const vaultBinding = (address: string, path: string) =>
  parseBinding('db', { provider: 'vault', address, role: 'api-gateway', audience: 'https://vault.example.org', path })

test('vault: a stored secret is read by the one component and no other', async () => {
  await using vault = await startVault()
  const binding = vaultBinding(vault.url, 'secret/data/shop/db')
  const { credentials } = await trade(binding)
  assert.deepEqual(credentials.reveal(), { kind: 'fields', fields: { username: 'shop', password: 'from-the-vault' } })
  await refusedWith(trade(binding, neighbour), /sub claim does not match bound subject/)
  await refusedWith(trade(binding, component, 'other'), /error validating token: audience/)
  assert.equal(vault.liveTokens(), 1)
  await refusedWith(trade(vaultBinding(vault.url, 'secret/data/other/db')), /permission denied/)
  assert.equal(vault.liveTokens(), 1, 'the token of the failed read was revoked')
})

test('vault: dynamic secrets are renewed and revoked, and a lease revoked from outside is refused', async () => {
  await using vault = await startVault()
  const { credentials, lease } = await trade(vaultBinding(vault.url, 'database/creds/reader'))
  assert.ok(lease)
  assert.ok(credentials.expiresAt.getTime() - Date.now() <= 600_000, 'the shorter lease counts')
  const renewed = await lease.renew(context())
  assert.deepEqual(renewed.reveal(), credentials.reveal())
  assert.ok(renewed.expiresAt >= credentials.expiresAt)
  vault.revokeAllLeases()
  await refusedWith(lease.renew(context()), /lease not found/)
  const second = await trade(vaultBinding(vault.url, 'database/creds/reader'))
  assert.equal(vault.liveLeases(), 1)
  await second.lease?.revoke(context())
  assert.equal(vault.liveLeases(), 0, 'revoking takes the dynamic secret back')
})

for (const grant of ['token-exchange', 'client-credentials'] as const) {
  test(`oidc: ${grant} gives a token for another service`, async () => {
    const audience = 'https://sso.example.org/realms/shop'
    await using oauth = await startOauthStandIn({
      issuer: spire.issuer,
      audience,
      subject: component,
      resourceAudience: 'ledger',
    })
    const binding = parseBinding('ledger', {
      provider: 'oidc',
      audience,
      grant,
      'client-assertion': 'jwt-spiffe',
      'token-endpoint': oauth.url,
      'target-audience': 'ledger',
    })
    const secret = (await trade(binding)).credentials.reveal()
    assert.ok(secret.kind === 'bearer' && oauth.accepts(secret.token))
    await refusedWith(trade(binding, neighbour), /unknown subject/)
    await refusedWith(trade(binding, component, 'other'), /audience/)
  })
}

test('jwt-svid: the token itself is the credential and lives exactly as long', async () => {
  const binding = parseBinding('kafka', { provider: 'jwt-svid', audience: 'kafka' })
  const svid = await mint('kafka')
  const { credentials } = await exchange(binding, svid, context())
  assert.deepEqual(credentials.reveal(), { kind: 'bearer', token: svid.reveal() })
  assert.equal(credentials.expiresAt.getTime(), svid.expiresAt.getTime())
  for (const shown of [inspect(credentials), JSON.stringify(credentials), String(credentials)]) {
    assert.doesNotMatch(shown, /eyJ/)
  }
})
