import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { stringify } from 'yaml'
import { buildComponents } from '../../scripts/build-components.ts'
import { systemClock as clock } from '../../src/clock/clock.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { createOwnIdentity } from '../../src/identity/own-identity.ts'
import { createWorkloadAuthority } from '../../src/identity/spire/workload-authority.ts'
import { createLog } from '../../src/observability/log.ts'
import { createIdentityCredentials, parseRegistryIdentity } from '../../src/oci/registry-identity.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { directoriesIn, runHerald, startHerald } from '../cli/herald-process.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { createOidcRelyingParty } from '../relying-parties/oidc-relying-party.ts'
import { collectLogs, startLog } from '../support/log.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { componentBytes, signal, testClient } from './oci-test-setup.ts'
import { answerError, startRegistryFaultStandIn } from './registry-fault-stand-in.ts'
import { startTokenService, type TokenRequest, type TokenService } from './registry-token-service.ts'
import { type PrivateRegistry, startRegistryWith } from './registry-with-auth.ts'

const audience = 'registry.example.com'
const publisher = 'spiffe://example.org/publisher'
const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const bytes = componentBytes(50_000, 77)

describe('images by the JWT-SVID of the host: the real registry, a token service, a real SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let tokens: TokenService
  let registry: PrivateRegistry
  let directory: string
  before(async () => {
    spire = cleanup.use(await startSpire())
    const selectors = [`unix:uid:${process.getuid?.()}`]
    await spire.createEntry({ spiffeId: publisher, parentId: spire.agentSpiffeId, selectors })
    directory = cleanup.use(temporaryDirectory()).path
    const party = createOidcRelyingParty([{ issuer: spire.issuer, clientIds: [audience] }])
    // Whoever shows an SVID for this audience: hosts may pull below team/, the publisher may push there as well.
    tokens = cleanup.use(
      await startTokenService(async ({ parameters }: TokenRequest) => {
        const grant = parameters.get('grant_type')
        const shown = parameters.get(grant === exchangeGrant ? 'subject_token' : 'refresh_token') ?? ''
        const subject = await party.verify(shown).then(
          (token) => token.subject,
          () => undefined,
        )
        if (subject === undefined) return { refused: 400, error: 'invalid_grant' }
        const may = subject === publisher ? ['pull', 'push'] : ['pull']
        return {
          subject,
          actions: (name, wanted) => (name.startsWith('team/') ? wanted.filter((each) => may.includes(each)) : []),
        }
      }),
    )
    const jwks = join(directory, 'jwks.json')
    writeFileSync(jwks, JSON.stringify({ keys: [tokens.jwk] }))
    registry = cleanup.use(await startRegistryWith(directory, tokens.registryAuth(jwks)))
  })
  after(() => cleanup.disposeAsync())

  /** A client as of a host with this SPIFFE ID. */
  async function clientOf(spiffeId: string, settings: string, host = registry.host) {
    const stack = new AsyncDisposableStack()
    const lines = startLog('own-identity')
    const log = createLog({ level: 'debug', destination: { write: (line) => lines.append(line) } })
    const authority = stack.use(createWorkloadAuthority({ socketPath: spire.workloadSocketPath, clock, log }))
    const svids = stack.use(createOwnIdentity({ authority, spiffeId: parseSpiffeId(spiffeId), clock, log }))
    const registries = new Map([[host, parseRegistryIdentity(host, settings)]])
    const others = { find: () => assert.fail('no other credentials are looked for') }
    const client = await testClient({ credentials: createIdentityCredentials({ registries, svids, others }) })
    return { client, svids, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
  const here = (more = '') => `${audience},token-service=${tokens.url}${more}`
  const refusedWith = (code: string) => (error: unknown) =>
    isHeraldError(error) && error.code === code ? true : assert.fail(`not ${code}: ${error}`)

  test('the SVID is traded once for each scope, and each may do what its SPIFFE ID may', async () => {
    await using push = await clientOf(publisher, here())
    await using pull = await clientOf(spire.hostSpiffeId, here(`,service=${tokens.service},grant=token-exchange`))
    const reference = `${registry.host}/team/private:1`
    await push.client.push(reference, bytes, { signal: signal() })
    for (let again = 0; again < 2; again++) {
      const pulled = await pull.client.pull(reference, { signal: signal() })
      assert.equal(Buffer.compare(pulled.bytes, bytes), 0)
    }
    assert.deepEqual(tokens.asked, ['repository:team/private:pull,push', 'repository:team/private:pull'])
    const [first, second] = tokens.requests
    assert.deepEqual([...first!.keys()].sort(), ['client_id', 'grant_type', 'refresh_token', 'scope', 'service'])
    assert.equal(second?.get('grant_type'), exchangeGrant)
    assert.equal(second?.get('subject_token_type'), 'urn:ietf:params:oauth:token-type:jwt')
    assert.equal(second?.get('audience'), tokens.service)
    // The host may not push, and nobody may reach what is not below team/.
    await assert.rejects(
      pull.client.push(`${registry.host}/team/private:2`, bytes, { signal: signal() }),
      (error) => isHeraldError(error) && /^ERR_OCI_(UNAUTHORIZED|FORBIDDEN)$/.test(error.code),
    )
    await assert.rejects(
      push.client.push(`${registry.host}/others/private:1`, bytes, { signal: signal() }),
      (error) => isHeraldError(error) && /^ERR_OCI_(UNAUTHORIZED|FORBIDDEN)$/.test(error.code),
    )
  })

  test('an SVID for an audience that the token service does not take is refused, with what to compare', async () => {
    await using host = await clientOf(spire.hostSpiffeId, `other.example.com,token-service=${tokens.url}`)
    await assert.rejects(host.client.pull(`${registry.host}/team/private:1`, { signal: signal() }), (error) => {
      assert.ok(isHeraldError(error, 'ERR_OCI_UNAUTHORIZED'))
      assert.match(error.message, /refuses this host’s JWT-SVID \(400, invalid_grant\)/)
      return true
    })
  })

  test('herald oci pushes and herald host serves an image, neither with a password', async () => {
    const wasm = (await buildComponents(['hello-c'])).get('hello-c') ?? assert.fail()
    const reference = `${registry.host}/team/hello:1`
    const identity = ['--registry-identity', `${registry.host}=${here()}`]
    const as = (id: string) => ['--spire-workload-socket', spire.workloadSocketPath, '--own-spiffe-id', id]
    const options = { env: directoriesIn(directory), node: process.execPath }
    const pushed = await runHerald(['oci', 'push', reference, wasm, ...identity, ...as(publisher)], options)
    assert.equal(pushed.exitCode, 0, pushed.stderr)
    const file = join(directory, 'hello.yaml')
    const http = { namespace: 'wasi', package: 'http', interfaces: ['incoming-handler'], config: { host: 'a.test' } }
    writeFileSync(
      file,
      stringify({
        apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
        kind: 'WorkloadDeployment',
        metadata: { name: 'hello', namespace: 'team' },
        spec: {
          template: { spec: { components: [{ name: 'hello', image: reference }], hostInterfaces: [http] } },
        },
      }),
    )
    const admin = ['--spire-admin-socket', spire.adminSocketPath, '--http', '127.0.0.1:0', '--output', 'json']
    const args = ['host', '-f', file, ...admin, ...identity, ...as(spire.hostSpiffeId)]
    await using herald = startHerald([...args, '--log-level', 'debug'], options)
    const ready = await herald.event('ready')
    assert.deepEqual(ready.failed, [], herald.stderr)
    assert.match(herald.stderr, /"event":"oci.pulled"/)
    assert.equal(tokens.asked.at(-1), 'repository:team/hello:pull')
  })

  test('a registry that wants the SVID sent elsewhere, or for another service, does not get it', async () => {
    await using hostile = await startRegistryFaultStandIn()
    await using thief = await startRegistryFaultStandIn()
    let realm = ''
    let service = 'hostile'
    hostile.fault = (_, response) =>
      answerError(response, 401, 'UNAUTHORIZED', 'x', {
        'www-authenticate': `Bearer realm="${realm}",service="${service}"`,
      })
    const asked = tokens.requests.length
    const cases = [
      // Nothing configured: the registry's own origin only.
      [audience, `http://${thief.host}/token`],
      // Configured: that address only, to the last character of its path.
      [here(), `http://${thief.host}/token`],
      [here(), `http://${hostile.host}/token`],
      [here(), `${tokens.url}/../elsewhere`],
      // A token of another registry's, to be handed to this one.
      [here(`,service=hostile`), tokens.url],
    ] as const
    for (const [settings, wanted] of cases) {
      realm = wanted
      service = wanted === tokens.url ? tokens.service : 'hostile'
      await using host = await clientOf(spire.hostSpiffeId, settings, hostile.host)
      await assert.rejects(
        host.client.pull(`${hostile.host}/team/private:1`, { signal: signal() }),
        refusedWith('ERR_OCI_TOKEN_SERVICE_UNKNOWN'),
      )
    }
    assert.equal(thief.requests.length, 0)
    assert.ok(!hostile.requests.some(({ path }) => path.startsWith('/token')))
    assert.equal(tokens.requests.length, asked)
  })

  test('a token service that redirects is not followed with the SVID', async () => {
    await using hostile = await startRegistryFaultStandIn()
    await using thief = await startRegistryFaultStandIn()
    hostile.fault = (request, response) => {
      if (request.url !== '/token')
        return answerError(response, 401, 'UNAUTHORIZED', 'x', {
          'www-authenticate': `Bearer realm="http://${hostile.host}/token",service="s"`,
        })
      response.writeHead(307, { location: `http://${thief.host}/token` }).end()
      return true
    }
    await using host = await clientOf(spire.hostSpiffeId, audience, hostile.host)
    await assert.rejects(host.client.pull(`${hostile.host}/team/x:1`, { signal: signal() }), (error) =>
      isHeraldError(error),
    )
    assert.ok(hostile.requests.some(({ path }) => path === '/token'))
    assert.equal(thief.requests.length, 0)
  })

  test('when the entry is deleted the registry tokens go with the SVID, and nothing else takes its place', async () => {
    const leaver = 'spiffe://example.org/leaver'
    const selectors = [`unix:uid:${process.getuid?.()}`]
    const entry = await spire.createEntry({ spiffeId: leaver, parentId: spire.agentSpiffeId, selectors })
    await using host = await clientOf(leaver, here())
    const reference = `${registry.host}/team/private:1`
    await host.client.pull(reference, { signal: signal() })
    const asked = tokens.requests.length
    await host.client.pull(reference, { policy: 'always', signal: signal() })
    assert.equal(tokens.requests.length, asked)
    await spire.deleteEntry(entry)
    await until(
      'the token is evicted',
      () => host.client.events().some(({ event }) => event === 'oci.token.evicted'),
      30_000,
    )
    await assert.rejects(
      host.client.pull(reference, { policy: 'always', signal: signal() }),
      (error) => isHeraldError(error) && /^ERR_(SVID|SPIRE)_/.test(error.code),
    )
    assert.equal(tokens.requests.length, asked)
  })

  test('no SVID and no registry token is in any log', () => {
    const shown = tokens.requests.flatMap((each) => [each.get('refresh_token'), each.get('subject_token')])
    const secrets = [...shown, ...tokens.issued].filter((each) => each !== null)
    assert.ok(secrets.length > 4)
    for (const text of collectLogs().values()) for (const secret of secrets) assert.ok(!text.includes(secret))
  })
})

for (const [text, why] of [
  ['', 'audience is missing'],
  ['a,token-service=ftp://x', 'https'],
  ['a,token-service=https://u:p@x/', 'neither user'],
  ['a,token-service=https://x/?next=y', 'query'],
  ['a,grant=password', 'the grant'],
  ['a,service=a,service=b', 'twice'],
  ['a,realm=https://x', 'not understood'],
] as const) {
  test(`--registry-identity r.example.com=${text} is refused`, () => {
    assert.throws(
      () => parseRegistryIdentity('r.example.com', text),
      (error) => isHeraldError(error, 'ERR_OCI_IDENTITY_INVALID') && error.message.includes(why),
    )
  })
}
