import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { lastLines, runProgram } from '../../scripts/servers/run-program.ts'
import { trustPolicy } from '../../src/federation/trust/trust-policy.ts'
import { trustScript } from '../../src/federation/trust/trust-script.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { buildProbe } from './guest/build-probe.ts'
import { type Site, startSite } from './start-site.ts'
import { startVault, type Vault } from './start-vault.ts'

const audience = 'https://vault.example.org'
const idIn = (spire: Spire): string => `spiffe://${spire.trustDomain}/shop/storage`

// One built component that asks for the binding `storage`. Two trust domains with a SPIRE and a host each; MinIO is the STS and the S3
// of the first, Vault serves both. All of them real. What the exchanges were answered is kept, to use what the guest was given.
suite('a component that moves between deployments unchanged', () => {
  const cleanup = new AsyncDisposableStack()
  const answers: string[] = []
  let premises: { spire: Spire; site: Site }
  let cloud: { spire: Spire; site: Site }
  let minio: Minio
  let vault: Vault
  let wasmFile: string
  let digest: string

  before(async () => {
    const directory = cleanup.use(temporaryDirectory()).path
    const probe = await buildProbe()
    wasmFile = join(directory, 'storage.wasm')
    writeFileSync(wasmFile, probe)
    digest = `sha256:${createHash('sha256').update(probe).digest('hex')}`
    const exchanging: typeof fetch = async (...request) => {
      const answer = await fetch(...request)
      answers.push(await answer.clone().text())
      return answer
    }
    const open = async (trustDomain: string) => {
      const spire = cleanup.use(await startSpire({ trustDomain }))
      // By its digest: a component that was changed for the move would have no identity.
      const selectors = ['wasmcloud:namespace:shop', 'wasmcloud:component:storage', `wasmcloud:image-digest:${digest}`]
      await spire.createEntry({ spiffeId: `spiffe://${trustDomain}/shop/storage`, selectors })
      return { spire, site: cleanup.use(await startSite(spire, exchanging)) }
    }
    premises = await open('premises.example')
    cloud = await open('cloud.example')
    minio = cleanup.use(await startMinio({ oidcConfigUrl: premises.spire.discoveryUrl }))
    await minio.makeBucket('shop')
    await minio.putObject('shop', 'letter', 'from the bucket')
    vault = cleanup.use(await startVault())
    await vault.admin('PUT', 'kv/shop', { username: 'shop', password: 'from-the-vault', ttl: '10m' })
    for (const { spire } of [premises, cloud]) {
      const policy = trustPolicy('vault', {
        ...{ spiffeId: idIn(spire), issuer: spire.issuer, audience },
        settings: { read: ['kv/shop'], mount: spire.trustDomain.replace('.', '-') },
      })
      using scratch = temporaryDirectory()
      const applied = await runProgram('sh', ['-ec', trustScript(policy)], {
        cwd: scratch.path,
        env: { ...process.env, PATH: `${vault.binDirectory}:${process.env.PATH}` },
      })
      assert.equal(applied.exitCode, 0, lastLines(applied.output))
    }
  })
  after(() => cleanup.disposeAsync())

  const onVault = ({ trustDomain }: Spire): Record<string, string> => ({
    ...{ provider: 'vault', address: vault.url, audience, path: 'kv/shop' },
    ...{ mount: trustDomain.replace('.', '-'), role: roleOf(trustDomain) },
  })
  const roleOf = (trustDomain: string): string =>
    /auth\/[\w-]+\/role\/(\S+)/.exec(
      trustScript(
        trustPolicy('vault', {
          ...{ spiffeId: `spiffe://${trustDomain}/shop/storage`, issuer: 'https://unused.example', audience },
          settings: { read: ['kv/shop'] },
        }),
      ),
    )?.[1] ?? ''

  /** Deploys it there. @returns what it was given, without secrets, and what the relying parties answered meanwhile */
  async function deploy({ site }: { site: Site }, binding: Record<string, string>) {
    const from = answers.length
    const ran = await site.run(wasmFile, binding)
    assert.equal(ran.digest, digest, 'the bytes that were built, nothing else')
    return { line: ran.line, answered: answers.slice(from) }
  }

  async function noLeases(): Promise<boolean> {
    const kept = await vault.admin('GET', 'sys/leases/lookup/kv/shop?list=true').catch((error: Error) => error)
    return kept instanceof Error && / 404: /.test(kept.message)
  }

  test('with a role at AWS STS it is given keys that open its bucket', async () => {
    const binding = { provider: 'aws', 'role-arn': minio.roleArn, region: 'us-east-1', 'sts-endpoint': minio.endpoint }
    const { line, answered } = await deploy(premises, binding)
    const given = /^storage: aws ([A-Z0-9]{20}) us-east-1 secret 40 session \d{3,} until \d{10}$/.exec(line)
    const field = (name: string): string =>
      new RegExp(`<${name}>([^<]+)</${name}>`).exec(answered.join('\n'))?.[1] ?? assert.fail(`STS answered no ${name}`)
    assert.equal(given?.[1], field('AccessKeyId'), line)
    const s3 = new S3Client({
      ...{ endpoint: minio.endpoint, region: 'us-east-1', forcePathStyle: true },
      credentials: {
        accessKeyId: field('AccessKeyId'),
        secretAccessKey: field('SecretAccessKey'),
        sessionToken: field('SessionToken'),
      },
    })
    const object = await s3.send(new GetObjectCommand({ Bucket: 'shop', Key: 'letter' }))
    assert.equal(await object.Body?.transformToString(), 'from the bucket')
    s3.destroy()
  })

  test("redeployed on the same host with Vault's role instead, it is given the leased secret, and the lease ends with it", async () => {
    const { line, answered } = await deploy(premises, onVault(premises.spire))
    assert.match(line, /^storage: secret password ttl username until \d{10}$/)
    assert.match(answered.join('\n'), /"lease_id":"kv\/shop\/[^"]+".*"password":"from-the-vault"/)
    const limit = AbortSignal.timeout(20_000)
    while (!(await noLeases())) {
      assert.ok(!limit.aborted, 'the lease outlives the workload')
      await sleep(50)
    }
  })

  test('moved to the host of another trust domain, it is given the same secret as the identity that it has there', async () => {
    const { line, answered } = await deploy(cloud, onVault(cloud.spire))
    assert.match(line, /^storage: secret password ttl username until \d{10}$/)
    assert.match(answered.join('\n'), /"password":"from-the-vault"/)
    const aliases = JSON.stringify(await vault.admin('GET', 'identity/entity-alias/id?list=true'))
    assert.ok(aliases.includes(idIn(cloud.spire)), 'Vault knows it by its identity there')
  })

  test('its identity does not move with it: the deployment of its old trust domain gets it nothing on the new host', async () => {
    for (const binding of [
      onVault(premises.spire),
      { provider: 'aws', 'role-arn': minio.roleArn, region: 'us-east-1', 'sts-endpoint': minio.endpoint },
    ]) {
      const { line } = await deploy(cloud, binding)
      assert.match(line, /^storage: refused /)
    }
  })
})
