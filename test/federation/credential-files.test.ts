import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { CellBinding } from '../../src/capabilities/capability.ts'
import { createCredentialFilesCapability } from '../../src/capabilities/credentials/files-capability.ts'
import { MemoryDirectory } from '../../src/capabilities/credentials/memory-directory.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { defaultLimits } from '../../src/engine/default-limits.ts'
import { startReplica } from '../../src/host/start-replica.ts'
import type { IdentityAuditEvent } from '../../src/identity/audit.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { log, signal } from '../engine/engine-fixture.ts'
import { FakeEngine } from '../host/fake-engine.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { Guest } from '../wasi/guest.ts'

const subject = 'spiffe://example.org/default/api-gateway'
const entryOf = (name: string, config: Record<string, string>): HostInterface => ({
  ...{ namespace: 'herald', package: 'credentials', version: '0.1.0', interfaces: ['files'] },
  ...{ name, config },
})
const azure = {
  provider: 'azure',
  'tenant-id': '00000000-0000-0000-0000-000000000001',
  'client-id': '00000000-0000-0000-0000-000000000002',
  scope: 'https://graph.microsoft.com/.default',
}
const gcp = {
  provider: 'gcp',
  'workload-identity-provider': 'projects/123456789012/locations/global/workloadIdentityPools/herald/providers/gateway',
  'service-account': 'reader@shop.iam.gserviceaccount.com',
}

describe('files for unmodified SDKs, on a real SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  const events: IdentityAuditEvent[] = []
  let spire: Spire
  let minio: Minio
  let capability: ReturnType<typeof createCredentialFilesCapability>
  let entry: string
  before(async () => {
    spire = cleanup.use(await startSpire())
    entry = await spire.createEntry({
      spiffeId: subject,
      selectors: ['wasmcloud:component:api-gateway'],
      jwtSvidTtlS: 10,
    })
    minio = cleanup.use(await startMinio({ oidcConfigUrl: spire.discoveryUrl }))
    await minio.makeBucket('letters')
    await minio.putObject('letters', 'one', 'dear SDK')
    const authority = cleanup.use(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock }))
    const svids = cleanup.use(createSvidSource({ authority, clock, log }))
    const audit = (event: IdentityAuditEvent): void => void events.push(event)
    capability = cleanup.use(createCredentialFilesCapability({ svids, loopbackEndpoints: true, clock, log, audit }))
  })
  after(() => cleanup.disposeAsync())

  const aws = () => ({
    provider: 'aws',
    'role-arn': minio.roleArn,
    region: minio.region,
    'sts-endpoint': minio.endpoint,
    'session-name': 'api',
  })
  const configure = (...entries: HostInterface[]) =>
    capability.configure(componentFacts(), entries, { signal: signal() })
  const hostPathOf = (binding: CellBinding, guestPath: string): string => {
    const [mount] = binding.preopens ?? []
    assert.ok(mount !== undefined && guestPath.startsWith(`${mount.guestPath}/`))
    return join(mount.hostPath, guestPath.slice(mount.guestPath.length))
  }

  test('the AWS SDK, told nothing, reads a bucket with them', async () => {
    const binding = await configure(entryOf('storage', aws()))
    const environment = { ...binding.environment }
    // The SDK runs outside of a component here: it sees the same file by the host's path.
    environment.AWS_WEB_IDENTITY_TOKEN_FILE = hostPathOf(binding, environment.AWS_WEB_IDENTITY_TOKEN_FILE ?? '')
    const script = `
      import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
      const client = new S3Client({ forcePathStyle: true })
      const { Body } = await client.send(new GetObjectCommand({ Bucket: 'letters', Key: 'one' }))
      process.stdout.write(await Body.transformToString())`
    const { stdout, stderr } = await runNode(script, { ...environment, AWS_ENDPOINT_URL_S3: minio.endpoint })
    assert.equal(stdout, 'dear SDK', stderr)
    binding.release()
    assert.equal(existsSync(binding.preopens?.[0]?.hostPath ?? ''), false)
  })

  test('a guest reads them, and can change nothing', async () => {
    const binding = await configure(
      entryOf('graph', azure),
      entryOf('google', gcp),
      entryOf('plain', { provider: 'jwt-svid', audience: 'kafka' }),
    )
    using guest = await Guest.open({ preopens: binding.preopens ?? [], environment: binding.environment ?? {} })
    const open = `
      const [[root, path]] = wasi['wasi:filesystem/preopens'].getDirectories()
      const read = (name) => text(root.openAt({}, name, {}, { read: true }).read(100000n, 0n)[0])`
    const seen = (await guest.call(`${open}
      const variables = Object.fromEntries(wasi['wasi:cli/environment'].getEnvironment())
      const denied = ['graph/token', 'new'].map((name) => caught(() => root.openAt({}, name, { create: true }, { write: true })).error)
      return { path, variables, denied, tokens: ['graph/token', 'google/token', 'plain/token'].map(read), google: read('google/credentials.json') }`)) as {
      path: string
      variables: Record<string, string>
      denied: string[]
      tokens: string[]
      google: string
    }
    assert.equal(seen.path, '/var/run/herald/credentials')
    assert.deepEqual(seen.variables, {
      AZURE_FEDERATED_TOKEN_FILE: '/var/run/herald/credentials/graph/token',
      AZURE_CLIENT_ID: azure['client-id'],
      AZURE_TENANT_ID: azure['tenant-id'],
      AZURE_AUTHORITY_HOST: 'https://login.microsoftonline.com',
      GOOGLE_APPLICATION_CREDENTIALS: '/var/run/herald/credentials/google/credentials.json',
    })
    assert.deepEqual(seen.denied, ['read-only', 'read-only'])
    assert.deepEqual(
      seen.tokens.map((token) => [parseJwtSvid(token).spiffeId, ...parseJwtSvid(token).audiences]),
      [
        [subject, 'api://AzureADTokenExchange'],
        [subject, `https://iam.googleapis.com/${gcp['workload-identity-provider']}`],
        [subject, 'kafka'],
      ],
    )
    const google = JSON.parse(seen.google)
    assert.equal(google.type, 'external_account')
    assert.equal(google.credential_source.file, '/var/run/herald/credentials/google/token')
    assert.match(
      google.service_account_impersonation_url,
      /\/reader@shop\.iam\.gserviceaccount\.com:generateAccessToken$/,
    )
    binding.release()
  })

  test('a token is rotated in place, and gone when its entry is; with a new entry it is there again', async () => {
    const binding = await configure(entryOf('graph', azure))
    const path = hostPathOf(binding, binding.environment?.AZURE_FEDERATED_TOKEN_FILE ?? '')
    assert.equal(statSync(join(path, '../..')).mode & 0o777, 0o700)
    const read = () => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)
    const first = read()
    await until('it is another one', () => read() !== first && read() !== undefined, 30_000)
    await spire.deleteEntry(entry)
    await until('it is gone', () => read() === undefined, 30_000)
    await spire.createEntry({ spiffeId: subject, selectors: ['wasmcloud:component:api-gateway'] })
    await until('it is there again', () => read() !== undefined, 30_000)
    const told = events.filter((event) => event.kind !== 'delivered').map(({ kind }) => kind)
    for (const kind of ['granted', 'renewed', 'evicted', 'refused']) assert.ok(told.includes(kind as never), kind)
    assert.doesNotMatch(JSON.stringify(events), /eyJ/)
    binding.release()
  })

  test('a host gives the component what the binding has, and lets the manifest’s own variables win', async () => {
    const binding = await configure(entryOf('graph', azure))
    const engine = new FakeEngine()
    const own: CellBinding = {
      ...binding,
      preopens: binding.preopens ?? [],
      environment: binding.environment ?? {},
      cellModule: binding.cellModule,
      config: undefined,
      attach() {},
      handle: async () => {},
      release: () => binding.release(),
    }
    const grant = {
      capability: { ...capability, configure: async () => own },
      entries: [entryOf('graph', azure)] as const,
      exported: [],
    }
    const component = {
      ...{ facts: componentFacts(), bytes: new Uint8Array(), role: 'run' as const, grants: [grant], links: [] },
      ...{ limits: defaultLimits, warnings: [] },
      resources: {
        environment: { AZURE_CLIENT_ID: 'mine', OTHER: 'x' },
        config: {},
        allowedHosts: [],
        allowedIpNameLookups: [],
        allowedHostLoopbackPorts: [],
        volumeMounts: [],
      },
    }
    const workload = { name: 'api', namespace: 'default', volumes: [], hostInterfaces: [], components: [] }
    const context = { engine, log, deniedAddresses: [], allowedHostPaths: [], idleTimeoutMs: Number.POSITIVE_INFINITY }
    const replica = await startReplica(workload as never, 'api', [component as never], context, { signal: signal() })
    const spec = engine.cells[0]?.spec.components[0]
    assert.deepEqual(spec?.preopens, binding.preopens)
    assert.equal(spec?.environment.AZURE_CLIENT_ID, 'mine')
    assert.equal(spec?.environment.AZURE_TENANT_ID, azure['tenant-id'])
    await replica.close({ drainTimeoutMs: 1_000 })
    assert.equal(existsSync(binding.preopens?.[0]?.hostPath ?? ''), false, 'the files went with the component')
  })

  for (const [what, entries, reason] of [
    ['two of one provider', [entryOf('a', azure), entryOf('b', azure)], /second entry/],
    [
      'a provider that no SDK reads files for',
      [entryOf('a', { provider: 'oidc', audience: 'a', 'token-endpoint': 'https://a.test' })],
      /no SDK reads files/,
    ],
    ['a name that is a path', [entryOf('../a', azure)], /cannot be a directory/],
  ] as const) {
    test(`${what} is refused`, async () => {
      await assert.rejects(configure(...entries), { code: 'ERR_FEDERATION_BINDING_INVALID', message: reason })
    })
  }
})

test('a directory that is no memory is not used', () => {
  assert.throws(() => MemoryDirectory.create('/proc'), { code: 'ERR_MEMORY_DIRECTORY' })
  assert.throws(() => MemoryDirectory.create('/nowhere'), { code: 'ERR_MEMORY_DIRECTORY' })
})

function runNode(script: string, env: Record<string, string | undefined>): Promise<{ stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: join(import.meta.dirname, '../..'),
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { stdout: '', stderr: '' }
  child.stdout.on('data', (text) => (printed.stdout += text))
  child.stderr.on('data', (text) => (printed.stderr += text))
  return new Promise((resolve, reject) => child.once('error', reject).once('close', () => resolve(printed)))
}
