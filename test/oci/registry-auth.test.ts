import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { createDockerCredentials } from '../../src/oci/docker-credentials.ts'
import { parseChallenges } from '../../src/oci/registry-auth.ts'
import { collectLogs } from '../support/log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { componentBytes, signal, testClient } from './oci-test-setup.ts'
import { answerError, type RegistryFaultStandIn, startRegistryFaultStandIn } from './registry-fault-stand-in.ts'

const layer = componentBytes(20_000, 6)
const password = 'pa55-word-that-must-not-leak'
const credentials = { kind: 'basic', username: 'ann', password } as const
const basic = `Basic ${Buffer.from(`ann:${password}`).toString('base64')}`

/** Makes a stand-in ask for a token of its own token service, as registries in the wild do. */
function askForTokens(
  registry: RegistryFaultStandIn,
  { realm = `http://${registry.host}/token` }: { realm?: string } = {},
): { issued: string[] } {
  const issued: string[] = []
  registry.fault = (request, response) => {
    if (request.url?.startsWith('/token')) return giveToken(request, response)
    if (issued.includes(request.headers.authorization?.replace('Bearer ', '') ?? '')) return false
    const challenge = `Bearer realm="${realm}",service="registry.test",scope="repository:o/x:pull"`
    return answerError(response, 401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': challenge })
  }
  const giveToken = (request: IncomingMessage, response: ServerResponse): true => {
    if (request.headers.authorization !== basic) return answerError(response, 401, 'UNAUTHORIZED', 'who are you')
    const token = `token-${issued.length + 1}`
    issued.push(token)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ token, expires_in: 300 }))
    return true
  }
  return { issued }
}

test('a token is fetched once for manifest and layer, with service and scope', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  const { issued } = askForTokens(registry)
  const pulled = await (await testClient()).pull(`${registry.host}/o/x:1`, { credentials, signal: signal() })
  assert.deepEqual(Buffer.from(pulled.bytes), Buffer.from(layer))
  assert.deepEqual(issued, ['token-1'])
  const asked = new URL(registry.requests.find(({ path }) => path.startsWith('/token'))!.path, 'http://x')
  assert.deepEqual(Object.fromEntries(asked.searchParams), { service: 'registry.test', scope: 'repository:o/x:pull' })
  // The password goes to the token service and nowhere else.
  for (const { path, headers } of registry.requests)
    assert.equal(headers.authorization === basic, path.startsWith('/token'))
})

test('wrong credentials are ERR_OCI_UNAUTHORIZED, and appear in no error and no log', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  askForTokens(registry)
  const wrong = { kind: 'basic', username: 'ann', password: `${password}-wrong` } as const
  await assert.rejects(
    (await testClient()).pull(`${registry.host}/o/x:1`, { credentials: wrong, signal: signal() }),
    (error) => {
      assert.ok(isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'))
      assert.doesNotMatch(`${error.describe()} ${error.stack}`, /pa55/)
      return true
    },
  )
  for (const text of collectLogs().values()) assert.doesNotMatch(text, /pa55|token-1/)
})

test('a registry with Basic gets it after its challenge, and only from who has credentials', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  registry.fault = (request, response) =>
    request.headers.authorization !== basic &&
    answerError(response, 401, 'UNAUTHORIZED', 'x', { 'www-authenticate': 'Basic realm="registry"' })
  const client = await testClient()
  assert.equal(
    (await client.pull(`${registry.host}/o/x:1`, { credentials, signal: signal() })).bytes.length,
    layer.length,
  )
  await assert.rejects(client.pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'),
  )
})

test('a redirect to storage on another host is followed without the credentials', async () => {
  await using registry = await startRegistryFaultStandIn()
  await using storage = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  storage.addArtifact('o/x', layer)
  registry.fault = (request, response) => {
    if (request.headers.authorization !== basic)
      return answerError(response, 401, 'UNAUTHORIZED', 'x', { 'www-authenticate': 'Basic realm="r"' })
    if (!request.url?.includes('/blobs/')) return false
    response.writeHead(307, { location: `http://${storage.host}${request.url}?signature=of-the-storage` })
    response.end()
    return true
  }
  const pulled = await (await testClient()).pull(`${registry.host}/o/x:1`, { credentials, signal: signal() })
  assert.deepEqual(Buffer.from(pulled.bytes), Buffer.from(layer))
  assert.equal(storage.requests.length, 1)
  assert.equal(storage.requests[0]?.headers.authorization, undefined)
})

test('storage that asks for credentials after a redirect gets none', async () => {
  await using registry = await startRegistryFaultStandIn()
  await using storage = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  storage.fault = (_, response) =>
    answerError(response, 401, 'UNAUTHORIZED', 'x', {
      'www-authenticate': `Bearer realm="http://${storage.host}/token"`,
    })
  registry.fault = (request, response) => {
    if (request.headers.authorization !== basic)
      return answerError(response, 401, 'UNAUTHORIZED', 'x', { 'www-authenticate': 'Basic realm="r"' })
    response.writeHead(302, { location: `http://${storage.host}/elsewhere` })
    response.end()
    return true
  }
  await assert.rejects(
    (await testClient()).pull(`${registry.host}/o/x:1`, { credentials, signal: signal() }),
    (error) => isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'),
  )
  assert.ok(storage.requests.every(({ headers }) => headers.authorization === undefined))
})

for (const [location, from] of [
  ['http://example.com/x', 'registry.example'],
  ['https://169.254.169.254/latest/meta-data', 'registry.example'],
  ['https://127.0.0.1/x', 'registry.example'],
  ['https://[::1]/x', 'registry.example'],
  ['https://user:pass@example.com/x', 'registry.example'],
  ['file:///etc/passwd', 'registry.example'],
  ['ftp://example.com/x', 'registry.example'],
] as const) {
  test(`a redirect from ${from} to ${location} is refused`, async () => {
    const asked: string[] = []
    const fetch = async (url: URL | string | Request) => {
      asked.push(String(url))
      return new Response(null, { status: 307, headers: { location } })
    }
    const client = await testClient({ fetch: fetch as typeof globalThis.fetch })
    await assert.rejects(client.pull(`${from}/o/x:1`, { signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_OCI_REDIRECT_REFUSED'),
    )
    assert.deepEqual(asked, [`https://${from}/v2/o/x/manifests/1`])
  })
}

test('endless redirects end', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.fault = (_, response) => {
    response.writeHead(302, { location: '/again' })
    response.end()
    return true
  }
  await assert.rejects((await testClient()).pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_REDIRECT_REFUSED'),
  )
})

for (const realm of [
  'http://tokens.example/token',
  'https://169.254.169.254/token',
  'https://127.0.0.1/token',
  'https://u:p@tokens.example/',
  'nonsense',
]) {
  test(`credentials are not sent to the realm ${realm} of an https registry`, async () => {
    const asked: string[] = []
    const fetch = async (url: URL | string | Request) => {
      asked.push(String(url))
      return new Response(null, { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}"` } })
    }
    const client = await testClient({ fetch: fetch as typeof globalThis.fetch })
    await assert.rejects(
      client.pull('registry.example/o/x:1', { credentials, signal: signal() }),
      (error) => isHeraldError(error) && error.code.startsWith('ERR_OCI_RE'),
    )
    assert.equal(asked.length, 1)
  })
}

test('what one pulled with credentials, another gets from the cache only after the registry agreed', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  askForTokens(registry)
  using cache = temporaryDirectory()
  const client = await testClient({ cache: { directory: cache.path } })
  const reference = `${registry.host}/o/x:1`
  const pull = (own: typeof credentials | undefined, policy: 'if-not-present' | 'never') =>
    client.pull(reference, { credentials: own, policy, signal: signal() })
  await pull(credentials, 'if-not-present')
  assert.equal((await pull(credentials, 'if-not-present')).fromCache, true)
  await assert.rejects(pull(undefined, 'if-not-present'), (error) => isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'))
  await assert.rejects(pull(undefined, 'never'), (error) => isHeraldError(error, 'ERR_OCI_NOT_CACHED'))
  // The grant outlives the process, and the registry.
  await registry[Symbol.asyncDispose]()
  const later = await testClient({ cache: { directory: cache.path } })
  assert.equal((await later.pull(reference, { credentials, signal: signal() })).fromCache, true)
})

test('credentials come from docker’s file: auths, its historic key, a helper, an identity token', async () => {
  using directory = temporaryDirectory()
  const helpers = join(directory.path, 'bin')
  mkdirSync(helpers)
  const helper = join(helpers, 'docker-credential-mine')
  writeFileSync(
    helper,
    `#!/bin/sh
read server
case "$server" in
  helped.example) echo '{"ServerURL":"x","Username":"hal","Secret":"from the helper"}';;
  token.example) echo '{"Username":"<token>","Secret":"refresh"}';;
  broken.example) echo oops; exit 3;;
  chatty.example) echo hello;;
  *) echo "credentials not found in native keychain"; exit 1;;
esac
`,
  )
  chmodSync(helper, 0o755)
  const configPath = join(directory.path, 'config.json')
  const source = createDockerCredentials({ configPath, helperDirectories: [helpers] })
  const find = (registry: string) => source.find(registry, { signal: signal() })
  assert.equal(await find('plain.example'), undefined)
  const auth = Buffer.from('ann:with:colons').toString('base64')
  const helped = ['helped.example', 'token.example', 'broken.example', 'chatty.example', 'unknown.example']
  writeFileSync(
    configPath,
    JSON.stringify({
      auths: {
        'plain.example': { auth },
        'https://index.docker.io/v1/': { auth },
        'helped.example': {},
        'bad.example': { auth: 'AAAA' },
      },
      credHelpers: {
        ...Object.fromEntries(helped.map((host) => [host, 'mine'])),
        'missing.example': 'absent',
        'evil.example': '../../bin/sh',
      },
      HttpHeaders: { 'User-Agent': 'docker' },
    }),
  )
  const ann = { kind: 'basic', username: 'ann', password: 'with:colons' }
  assert.deepEqual(await find('plain.example'), ann)
  assert.deepEqual(await find('docker.io'), ann)
  assert.deepEqual(await find('helped.example'), { kind: 'basic', username: 'hal', password: 'from the helper' })
  assert.deepEqual(await find('token.example'), { kind: 'identity-token', token: 'refresh' })
  assert.equal(await find('unknown.example'), undefined)
  assert.equal(await find('else.example'), undefined)
  for (const registry of ['broken.example', 'chatty.example', 'missing.example', 'evil.example', 'bad.example']) {
    await assert.rejects(find(registry), (error) => isHeraldError(error, 'ERR_OCI_CREDENTIALS_INVALID'), registry)
  }
  writeFileSync(configPath, '{"auths": {"x": {"auth": "c2VjcmV0')
  await assert.rejects(
    find('x'),
    (error) => isHeraldError(error, 'ERR_OCI_CREDENTIALS_INVALID') && !error.message.includes('c2VjcmV0'),
  )
})

test('a helper that hangs is ended', async () => {
  using directory = temporaryDirectory()
  writeFileSync(join(directory.path, 'docker-credential-slow'), '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 })
  writeFileSync(join(directory.path, 'config.json'), '{"credsStore":"slow"}')
  const source = createDockerCredentials({
    configPath: join(directory.path, 'config.json'),
    helperDirectories: [directory.path],
    helperEnvironment: { PATH: '/usr/bin:/bin' },
    helperTimeoutMs: 200,
  })
  await assert.rejects(source.find('x.example', { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_CREDENTIALS_INVALID'),
  )
})

for (const [header, expected] of [
  [
    'Bearer realm="https://a/t",service="s",scope="repository:o/x:pull,push"',
    [{ scheme: 'bearer', parameters: { realm: 'https://a/t', service: 's', scope: 'repository:o/x:pull,push' } }],
  ],
  [
    'Basic realm="a \\"b\\"", Bearer realm=x',
    [
      { scheme: 'basic', parameters: { realm: 'a "b"' } },
      { scheme: 'bearer', parameters: { realm: 'x' } },
    ],
  ],
  [
    'Negotiate, Basic realm="r"',
    [
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'basic', parameters: { realm: 'r' } },
    ],
  ],
  ['', []],
  ['"', []],
] as const) {
  test(`parseChallenges reads ${JSON.stringify(header)}`, () => assert.deepEqual(parseChallenges(header), expected))
}
