import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { connect, nkeys } from 'nats'
import { buildComponents } from '../../scripts/build-components.ts'
import { pushLayout } from '../../scripts/image/push-layout.ts'
import { type BuiltImage, buildImage, writeRootFilesystem } from '../../scripts/image.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { programPath } from '../../scripts/servers.ts'
import { createLog } from '../../src/observability/log.ts'
import { createOciClient } from '../../src/oci/oci-client.ts'
import { runHerald } from '../cli/herald-process.ts'
import { startAwsStandIns } from '../relying-parties/aws-stand-ins.ts'
import { freePort } from '../support/free-port.ts'
import { httpCall } from '../support/http-call.ts'
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import { startLog } from '../support/log.ts'
import { startNats } from '../support/nats.ts'
import { type Registry, startRegistry } from '../support/registry.ts'
import { scanForTokens } from '../support/scan-for-tokens.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { openHelmChart, type RenderedObject, type Values } from './helm-chart.ts'
import { type ImageRoot, pullImageRoot, readInImage } from './image-root.ts'
import { runRendered, runRenderedHost } from './run-rendered-host.ts'
import { startSpireServerForPods } from './spire-server-for-pods.ts'
import { calloutValues } from './value-sets.ts'

const cleanup = new AsyncDisposableStack()
const directory = cleanup.use(temporaryDirectory()).path
const log = createLog({ level: 'info', destination: { write: startLog('image-push').append } })
const signal = AbortSignal.timeout(600_000)
/** Where the tests cannot be root they say so, and are counted as skipped. */
const skip = process.getuid?.() === 0 ? false : 'needs root: mount namespaces and chroot'
let registry: Registry
let built: BuiltImage
let image: ImageRoot

before(async () => {
  registry = cleanup.use(await startRegistry())
  built = await buildImage(join(directory, 'image'))
  const reference = `${registry.host}/herald/herald:test`
  const pushed = await pushLayout(built.layout, reference, { log, signal })
  assert.equal(pushed, built.manifest.digest)
  image = await pullImageRoot(reference, join(directory, 'root'))
})
after(() => cleanup.disposeAsync())

test('the image goes to a registry and comes back as it was, below 200 MB, for a user without rights', () => {
  console.log(
    `${(built.uncompressedBytes / 1e6).toFixed(0)} MB on disk, ${(built.compressedBytes / 1e6).toFixed(0)} MB to pull`,
  )
  assert.equal(image.digest, built.manifest.digest)
  assert.ok(built.uncompressedBytes < 200e6, `${built.uncompressedBytes} bytes`)
  assert.equal(image.config.User, '65532:65532')
  assert.equal(statSync(join(image.path, 'tmp')).mode & 0o7777, 0o1777)
})

test('what the Dockerfile copies is what the image holds, file by file, the bill of materials too', async () => {
  const rootfs = join(directory, 'rootfs')
  await writeRootFilesystem(rootfs)
  const list = (path: string) => readdirSync(path, { recursive: true, encoding: 'utf8' }).sort()
  assert.deepEqual(list(rootfs), list(image.path))
  for (const file of ['herald/package.json', 'usr/share/sbom/herald.cdx.json', 'herald/dist/cli/main.js'])
    assert.equal(readFileSync(join(rootfs, file), 'utf8'), readInImage(image, file))
})

test('there is no shell, no package manager and no compiler in it', async () => {
  const { stdout } = await runProgram('find', [image.path, '-type', 'f', '-perm', '-100', '-printf', '/%P\n'])
  const programs = stdout.split('\n').filter((path) => /^\/(usr\/)?(local\/)?s?bin\//.test(path))
  assert.deepEqual(
    programs.filter(
      (path) =>
        !/\/(ldconfig|ldd|iconv|locale|localedef|getent|getconf|pldd|sotruss|sprof|tzselect|zdump|zic|catchsegv|iconvconfig|ldconfig\.real)$/.test(
          path,
        ),
    ),
    ['/usr/local/bin/node'],
  )
})

test('the bill of materials lists what is in the image: every package of node_modules, and Debian’s', () => {
  const bom = JSON.parse(readInImage(image, 'usr/share/sbom/herald.cdx.json')) as {
    bomFormat: string
    components: { name: string; group?: string; purl: string; hashes?: unknown[] }[]
  }
  assert.equal(bom.bomFormat, 'CycloneDX')
  const listed = new Set(bom.components.map(({ group, name }) => (group === undefined ? name : `${group}/${name}`)))
  for (const name of ['@grpc/grpc-js', 'nats', 'node', 'libc6']) assert.ok(listed.has(name), name)
  assert.equal(bom.components.length, built.npmPackages + built.debianPackages + 1)
  assert.ok(!listed.has('typescript') && !listed.has('@bytecodealliance/componentize-js'))
})

/** The image's own program in its own root. */
async function herald(...args: readonly string[]) {
  const [program, ...more] = image.config.Entrypoint
  const chroot = ['--userspec=65532:65532', '--groups=65532', image.path, program!, ...more, ...args]
  return await runProgram('chroot', chroot, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin', HOME: '/tmp' },
  })
}

test('herald version runs in the image’s root', { skip }, async () => {
  const result = await herald('version', '--output', 'json')
  assert.equal(result.exitCode, 0, result.output)
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    version: string
  }
  assert.equal((JSON.parse(result.stdout) as { herald: string }).herald, version)
})

test('the Dockerfile, which is not built here, gives the image the same configuration', () => {
  const dockerfile = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8')
  const [, last = ''] = dockerfile.split('FROM scratch')
  const { User, Env, Entrypoint, Cmd, WorkingDir, StopSignal, ExposedPorts } = image.config
  assert.deepEqual(last.trim().split('\n').slice(1), [
    `ENV ${Env.join(' ')}`,
    `USER ${User}`,
    `WORKDIR ${WorkingDir}`,
    `STOPSIGNAL ${StopSignal}`,
    `EXPOSE ${Object.keys(ExposedPorts).join(' ')}`,
    `ENTRYPOINT ${JSON.stringify(Entrypoint).replaceAll(',', ', ')}`,
    `CMD ${JSON.stringify(Cmd)}`,
  ])
})

const audience = 'sts.amazonaws.com'
const spiffeId = 'spiffe://example.org/default/herald-test'
const node = '/run/spire/agent/sockets/csi.spiffe.io/admin'

test('what the chart renders runs in the image with SPIRE and NATS, and the flow of helm test goes through it', {
  skip,
}, async () => {
  await using spire = await startSpire({ hostEntry: false })
  await using nats = await startNats()
  await using aws = await startAwsStandIns({ issuer: spire.issuer, audience, subjects: [spiffeId] })
  await using collector = await startCollector()
  using chart = await openHelmChart('herald-platform')
  const [httpPort, healthPort] = [await freePort(), await freePort()]
  const component = await pushComponent('api-gateway')
  const values: Values = {
    trustDomain: 'example.org',
    host: { http: { port: httpPort }, health: { port: healthPort } },
    service: { port: httpPort },
    otlp: { endpoint: collector.url },
    nats: { config: { nats: { port: Number(new URL(nats.url).port) } } },
    tests: {
      component: {
        image: component,
        environment: { AWS_ROLE_ARN: aws.roleArn, AWS_ENDPOINT_URL_STS: aws.stsUrl },
        allowedHosts: [aws.stsUrl],
      },
      issuer: spire.issuer,
      exchange: true,
      timeoutSeconds: 15,
    },
  }
  const objects = await chart.template(values)
  // The node's agent attests the host by its pod; here by its user.
  await spire.createEntry({
    spiffeId: spire.hostSpiffeId,
    parentId: spire.agentSpiffeId,
    selectors: ['unix:uid:65532'],
  })
  const volumes = join(directory, 'volumes')
  mkdirSync(volumes)
  await using host = await runRenderedHost({
    image,
    objects,
    names: ['nats', 'rel-herald-host'],
    nodeDirectories: { [node]: join(spire.adminSocketPath, '..') },
    directory: volumes,
  })

  const refused = await host.helmTest()
  assert.equal(refused.exitCode, 1, refused.output)
  assert.match(
    refused.stdout,
    /✖ the component gets its token: not in time; at last: 403 .*\n✔ the component is undeployed: it is gone/,
  )

  await registerEntries(spire, objects)
  const passed = await host.helmTest()
  console.log(passed.stdout)
  assert.equal(passed.exitCode, 0, `${passed.output}\n${host.server.log.text().slice(-3000)}`)
  assert.deepEqual(passed.stdout.match(/^[✔✖-] [^:]+/gm), [
    '✔ the hosts answer',
    '✔ NATS accepts the connection',
    '✔ a host of this release is on the lattice',
    '✔ the component is deployed',
    '✔ the component gets its token',
    '✔ the token is what it should be',
    '✔ the issuer vouches for it',
    '✔ it is traded for credentials',
    '✔ the component is undeployed',
  ])
  assert.match(passed.stdout, new RegExp(`gets its token: ${spiffeId}`))
  assert.match(await (await fetch(`${host.healthUrl}/metrics`)).text(), /^http_server_active_requests/m)
  const [, residentKb] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${host.server.pid}/status`, 'utf8')) ?? []
  console.log(`the host took ${Math.round(Number(residentKb) / 1024)} MiB at most`)
  await host.server.stop()
  assert.deepEqual(host.server.exit(), { code: 0, signal: null })
  for (const path of ['/v1/traces', '/v1/metrics', '/v1/logs']) {
    const sent = collector.received.get(path)?.join('\n') ?? ''
    assert.match(sent, /"k8s\.pod\.name".{0,40}rel-herald-host-7d4b9c-x2x9v/, `${path} got ${sent.slice(0, 1_000)}`)
    assert.deepEqual(scanForTokens(sent), [], path)
  }
})

test('a host with a private agent, attested by the API server and known by its user, goes through the same flow', {
  skip,
}, async () => {
  await using kubernetes = await startKubernetes()
  const namespace = 'herald'
  await kubernetes.createNamespace(namespace, 'restricted')
  await using spire = await startSpireServerForPods(kubernetes, {
    cluster: 'herald',
    account: `${namespace}:rel-herald-host`,
  })
  await using nats = await startNats()
  using chart = await openHelmChart('herald-platform')
  const [httpPort, healthPort] = [await freePort(), await freePort()]
  const objects = await chart.template(
    {
      trustDomain: 'example.org',
      host: { http: { port: httpPort }, health: { port: healthPort } },
      service: { port: httpPort },
      nats: { config: { nats: { port: Number(new URL(nats.url).port) } } },
      spire: {
        adminSocket: {
          mode: 'sidecar',
          sidecar: {
            cluster: 'herald',
            podUidAgentIds: true,
            serverAddress: 'localhost',
            serverPort: spire.port,
            logLevel: 'debug',
          },
        },
      },
      tests: { component: { image: await pushComponent('api-gateway') }, timeoutSeconds: 60 },
    },
    { namespace },
  )
  const volumes = join(directory, 'volumes-with-agent')
  mkdirSync(volumes)
  await registerEntries(spire, objects)
  await using host = await runRenderedHost({
    image,
    agentImage: await agentImage(),
    objects,
    names: ['nats', 'rel-herald-host'],
    configMaps: { 'spire-bundle': { 'bundle.crt': await spire.bundle() } },
    serviceAccountTokens: { 'spire-server': await tokenOfPod(kubernetes, objects, namespace) },
    directory: volumes,
  })
  const passed = await host.helmTest()
  assert.equal(
    passed.exitCode,
    0,
    `${passed.output}\n${host.server.log.text().slice(-2000)}\n${host.agent?.log.text().slice(-3000)}`,
  )
  assert.match(passed.stdout, new RegExp(`✔ the component gets its token: ${spiffeId}\n`))
})

test('with the callout service of the chart the host gets into NATS by its SVID, and who has none does not; the console shows it', {
  skip,
}, async () => {
  await using spire = await startSpire({ hostEntry: false, oidc: false })
  const calloutId = 'spiffe://example.org/nats-callout'
  for (const spiffeId of [spire.hostSpiffeId, calloutId])
    await spire.createEntry({ spiffeId, parentId: spire.agentSpiffeId, selectors: ['unix:uid:65532'] })
  using chart = await openHelmChart('herald-platform')
  const volumes = join(directory, 'volumes-of-callout')
  const keys = join(volumes, 'keys')
  mkdirSync(volumes)
  const printed = await runHerald(['nats-callout', 'keys', keys, '--account', 'HERALD'], {
    node: process.execPath,
  })
  assert.equal(printed.exitCode, 0, printed.stderr)
  const [user, issuer, xkey] = [/nkey: (U\w+)/, /issuer: (A\w+)/, /xkey: (X\w+)/].map(
    (key) => key.exec(printed.stdout)?.[1] ?? assert.fail(`${key} is not printed`),
  )
  const consoleUser = nkeys.createUser()
  const consoleKey = consoleUser.getPublicKey()
  // What the printed configuration says, as values of the NATS chart; and a user of the console's own.
  const merge = {
    accounts: {
      HERALD_AUTH: { users: [{ nkey: user }] },
      HERALD: {
        users: [
          { nkey: consoleKey, permissions: { publish: ['herald.hosts', 'herald.host.>'], subscribe: ['_INBOX.>'] } },
        ],
      },
    },
    authorization: {
      timeout: 2,
      auth_callout: { issuer, account: 'HERALD_AUTH', auth_users: [user, consoleKey], xkey },
    },
  }
  const config = Object.entries(merge).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
  await using nats = await startNats({ config: config.join('\n') })
  const [httpPort, healthPort, consolePort] = [await freePort(), await freePort(), await freePort()]
  const objects = await chart.template({
    ...calloutValues,
    natsCallout: { ...(calloutValues.natsCallout as object), health: { port: await freePort() } },
    host: { http: { port: httpPort }, health: { port: healthPort } },
    nats: { config: { nats: { port: Number(new URL(nats.url).port) }, jetstream: { enabled: false }, merge } },
    spire: { workloadSocket: { fileName: 'api.sock' } },
    console: {
      enabled: true,
      port: consolePort,
      credentials: { kind: 'nkey', secretName: 'console', secretKey: 'seed' },
    },
  })

  const keyFiles = ['issuer.nk', 'user.nk', 'xkey.nk'].map((name) => [name, readFileSync(join(keys, name), 'utf8')])
  const surroundings = {
    image,
    objects,
    names: ['nats', 'rel-herald-console'],
    secrets: {
      'herald-callout': Object.fromEntries(keyFiles) as Record<string, string>,
      console: { seed: new TextDecoder().decode(consoleUser.getSeed()) },
    },
    nodeDirectories: {
      [node]: join(spire.adminSocketPath, '..'),
      'csi.spiffe.io': join(spire.workloadSocketPath, '..'),
    },
    directory: volumes,
  }
  await using callout = await runRendered('nats-callout', surroundings, (log) => log.includes('"event":"ready"'))
  await using host = await runRenderedHost(surroundings)
  assert.match(callout.log.text(), /audit\.nats\.granted.*spiffe:\/\/example\.org\/wasm-host/)
  await assert.rejects(connect({ servers: nats.url, timeout: 10_000 }), /Authorization Violation/i)

  await using shown = await runRendered('console', surroundings, (log) => log.includes('"event":"ready"'))
  const url = `http://127.0.0.1:${consolePort}`
  for (const name of ['rel-herald-console', 'rel-herald-console.herald.svc', '127.0.0.1']) {
    // It asks the hosts when it is asked itself.
    for (const untilMs = Date.now() + 60_000; ; await sleep(200)) {
      const { status, text } = await httpCall(`${url}/api/fleet`, { host: name })
      assert.equal(status, 200, `${name}: ${text}\n${shown.log.text()}`)
      if (text.includes('rel-herald-host-7d4b9c-x2x9v')) break
      assert.ok(Date.now() < untilMs, text)
    }
  }
  assert.equal((await httpCall(`${url}/`, { host: 'evil.example' })).status, 421)
  for (const { log } of [callout, host.server, shown]) assert.deepEqual(scanForTokens(log.text()), [])
})

/** The private agent's image, as its Dockerfile lays it out, on the libraries of Herald's: its own is static. */
async function agentImage(): Promise<ImageRoot> {
  const path = join(directory, 'agent-root')
  cpSync(image.path, path, { recursive: true, verbatimSymlinks: true })
  mkdirSync(join(path, 'opt/spire/bin'), { recursive: true })
  copyFileSync(await programPath('spire-agent'), join(path, 'opt/spire/bin/spire-agent'))
  return { ...image, path }
}

/** Makes the rendered host's pod, as a scheduler would place it, and a token that is bound to it, as a kubelet would get it. */
async function tokenOfPod(
  kubernetes: Kubernetes,
  objects: readonly RenderedObject[],
  namespace: string,
): Promise<string> {
  const account = objects.find(({ kind }) => kind === 'ServiceAccount')!
  const { template } = objects.find(({ kind }) => kind === 'Deployment')!.spec as {
    template: { metadata: object; spec: object }
  }
  const pod = { ...template, spec: { ...template.spec, nodeName: 'node-1' } }
  await kubernetes.apply([
    account,
    { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } },
    { apiVersion: 'v1', kind: 'Pod', ...pod, metadata: { ...template.metadata, name: 'host-1', namespace } },
  ])
  const at = ['--namespace', namespace]
  const uid = await kubernetes.kubectl('get', 'pod/host-1', ...at, '--output=jsonpath={.metadata.uid}')
  const bound = ['--bound-object-kind=Pod', '--bound-object-name=host-1', `--bound-object-uid=${uid}`]
  const token = await kubernetes.kubectl(
    'create',
    'token',
    account.metadata.name,
    ...at,
    '--audience=spire-server',
    ...bound,
  )
  return token.trim()
}

/** spire-controller-manager's part: the rendered ClusterStaticEntries become entries of the server. */
async function registerEntries(spire: Pick<Spire, 'createEntry'>, objects: readonly RenderedObject[]): Promise<void> {
  for (const { kind, spec } of objects) {
    if (kind !== 'ClusterStaticEntry') continue
    const { spiffeID, parentID, selectors } = spec as { spiffeID: string; parentID: string; selectors: string[] }
    await spire.createEntry({ spiffeId: spiffeID, parentId: parentID, selectors })
  }
}

/** Takes whatever is sent to it, as a collector of OpenTelemetry does. */
async function startCollector() {
  const received = new Map<string, string[]>()
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    received.set(request.url ?? '', [...(received.get(request.url ?? '') ?? []), text.toString()])
    response.setHeader('content-type', 'application/json').end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    received,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function pushComponent(name: string): Promise<string> {
  const paths = await buildComponents([name], { log: () => {} })
  const client = await createOciClient({ log })
  const reference = `${registry.host}/components/${name}:test`
  await client.push(reference, readFileSync(paths.get(name)!), { signal })
  return reference
}
