import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { buildComponents } from '../../scripts/build-components.ts'
import { wireHost } from '../../src/cli/wire-host.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'
import { runHerald } from '../cli/herald-process.ts'
import { log, signal } from '../engine/engine-fixture.ts'
import { buildProbe } from '../federation/guest/build-probe.ts'
import { httpCall } from '../support/http-call.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { hostNameOf, startTenantHost, type TenantHost, type TenantWorkload, tenantManifest } from './tenant-host.ts'

const idOf = (namespace: string, component: string) => `spiffe://example.org/${namespace}/${component}`
const refused = 'identity-not-found'

// Every attacker is in the namespace `evil`, has chosen all that a manifest lets it choose, and runs on the same host as its victims.
describe('tenants of one host, on a real SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let whoami: string
  let retagged: string
  let directory: string
  let host: TenantHost
  const tenants: Record<string, TenantWorkload> = {}

  before(async () => {
    spire = cleanup.use(await startSpire())
    directory = cleanup.use(temporaryDirectory()).path
    whoami = (await buildComponents(['whoami-c'])).get('whoami-c') ?? ''
    const bytes = readFileSync(whoami)
    // The same code under the same reference, with a custom section more: what a tag that was moved leads to.
    retagged = join(directory, 'whoami.wasm')
    writeFileSync(retagged, Buffer.concat([bytes, Buffer.from([0, 6, 4]), Buffer.from('evilx')]))
    const probe = join(directory, 'probe.wasm')
    writeFileSync(probe, await buildProbe())
    const digest = createHash('sha256').update(bytes).digest('hex')
    const entries: [string, string[]][] = [
      [idOf('alpha', 'api'), ['wasmcloud:namespace:alpha', 'wasmcloud:component:api']],
      [idOf('beta', 'api'), ['wasmcloud:namespace:beta', 'wasmcloud:component:api']],
      [idOf('alpha', 'storage'), ['wasmcloud:namespace:alpha', 'wasmcloud:component:storage']],
      [idOf('evil', 'storage'), ['wasmcloud:namespace:evil', 'wasmcloud:component:storage']],
      [idOf('x', 'y-z'), ['wasmcloud:namespace:x', 'wasmcloud:component:y-z']],
      [idOf('x-y', 'z'), ['wasmcloud:namespace:x-y', 'wasmcloud:component:z']],
      [idOf('alpha', 'open'), ['wasmcloud:component:open']],
      [idOf('alpha', 'pinned'), ['wasmcloud:component:pinned', `wasmcloud:image-digest:sha256:${digest}`]],
    ]
    for (const [spiffeId, selectors] of entries.slice(0, -1)) {
      await spire.createEntry({ spiffeId, selectors, waitForAgent: false })
    }
    const [spiffeId, selectors] = entries.at(-1)!
    await spire.createEntry({ spiffeId, selectors })
    const add = (key: string, namespace: string, component: string, rest: Partial<TenantWorkload> = {}): void => {
      const workload = ['alpha', 'beta', 'same names'].includes(key) ? 'shop' : key.replaceAll(' ', '-')
      tenants[key] = { namespace, workload, component, wasm: whoami, ...rest }
    }
    add('alpha', 'alpha', 'api')
    add('beta', 'beta', 'api')
    add('same names', 'evil', 'api')
    add('labels', 'evil', 'api', {
      workload: 'labels',
      labels: { namespace: 'alpha', 'wasmcloud.namespace': 'alpha', component: 'api' },
    })
    add('spiffe-id', 'evil', 'api', { workload: 'chooser', identity: { 'spiffe-id': idOf('alpha', 'api') } })
    add('workload as namespace', 'evil', 'api', { workload: 'alpha' })
    add('component as namespace', 'evil', 'alpha')
    add('glued left', 'x', 'y-z')
    add('glued right', 'x-y', 'z')
    add('glued thief', 'x-y-z', 'z', { workload: 'x' })
    add('pinned', 'alpha', 'pinned')
    add('open', 'alpha', 'open')
    add('open to evil', 'evil', 'open')
    add('re-tagged', 'alpha', 'pinned', { workload: 'retagged', wasm: retagged })
    // The probe asks for the binding of its component's name.
    add('owner of a binding', 'alpha', 'storage', { wasm: probe, credentials: { storage: binding() } })
    add('guesser of a binding', 'evil', 'storage', { wasm: probe, credentials: { mine: binding() } })
    host = cleanup.use(
      await startTenantHost(spire.adminSocketPath, Object.values(tenants), [
        ...['--label', 'namespace=alpha', '--label', 'component=api', '--label', 'a=namespace:alpha'],
      ]),
    )
  })
  after(() => cleanup.disposeAsync())

  const binding = () => ({ provider: 'jwt-svid', audience: 'https://ledger.example.org' })

  for (const [who, expected, what] of [
    ['alpha', idOf('alpha', 'api'), 'one tenant has its identity'],
    ['beta', idOf('beta', 'api'), 'the other tenant has its own, with the same component, workload and image'],
    ['same names', refused, 'the same workload and component names in another namespace'],
    ['labels', refused, "labels that spell another tenant's selectors, on the workload and on the host"],
    ['spiffe-id', refused, "another tenant's SPIFFE ID in spiffe-id"],
    ['workload as namespace', refused, 'a workload named like the namespace'],
    ['component as namespace', refused, 'a component named like the namespace'],
    ['glued left', idOf('x', 'y-z'), 'x and y-z are not x-y and z'],
    ['glued right', idOf('x-y', 'z'), 'x-y and z are not x and y-z'],
    ['glued thief', refused, 'names that are the same once glued together'],
    ['pinned', idOf('alpha', 'pinned'), 'an entry that holds the digest matches its image'],
    [
      'open to evil',
      idOf('alpha', 'open'),
      'an entry that names the component alone is every tenant’s, as docs/identity.md warns',
    ],
    ['re-tagged', refused, 'an image that was re-tagged, under an entry that holds the digest'],
  ] as const) {
    test(`${what}: ${expected === refused ? 'gets nothing' : expected}`, async () => {
      // Asked twice: from the authority, and from what is held.
      for (const _ of ['cold', 'warm']) assert.equal(await host.whoIs(tenants[who]!), expected)
    })
  }

  test('pools and caches are nobody’s but their tenant’s: 400 interleaved calls, each by its own identity', async () => {
    const asked = Array.from({ length: 400 }, (_, index) => (index % 2 === 0 ? 'alpha' : 'beta'))
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let index = lane; index < asked.length; index += 8) {
        const who = asked[index]!
        assert.equal(await host.whoIs(tenants[who]!), idOf(who, 'api'))
      }
    })
    await Promise.all(lanes)
  })

  test('a binding that a guest guesses is unknown to it, though another tenant has one of that name', async () => {
    const said = (text: string): boolean => host.process.stdout.includes(text) || host.process.stderr.includes(text)
    for (let tries = 0; tries < 100 && !(said('storage: bearer') && said('storage: unknown-binding')); tries++)
      await sleep(100)
    assert.ok(said('storage: bearer'), 'the owner has it')
    assert.ok(said('storage: unknown-binding'), 'the guesser has not')
  })

  for (const [what, change] of [
    ['a slash in its component', { component: 'alpha/api' }],
    ['an escaped slash in its component', { component: 'alpha%2Fapi' }],
    ['a slash in its namespace', { namespace: 'alpha/api' }],
    ['dots in its namespace', { namespace: '..' }],
    ['a percent sign in its workload', { workload: '%61lpha' }],
    ['a colon in its component', { component: 'api:namespace:alpha' }],
    ['a line break in its component', { component: 'api\nwasmcloud:namespace:alpha' }],
    ['capitals in its namespace', { namespace: 'Alpha' }],
    ['a lookalike letter in its namespace', { namespace: 'аlpha' }],
    ['the audience of everybody', { identity: { audiences: ' , ' } }],
  ] as [string, Partial<TenantWorkload>][]) {
    test(`a workload with ${what} is not started`, async () => {
      const file = join(directory, 'refused.yaml')
      const tenant = { namespace: 'evil', workload: 'shop', component: 'api', wasm: whoami, ...change }
      writeFileSync(file, stringify(tenantManifest(tenant)))
      const args = ['host', '-f', file, '--spire-admin-socket', spire.adminSocketPath, '--http', '127.0.0.1:0']
      const { exitCode, stderr } = await runHerald(args)
      assert.equal(exitCode, 2, stderr)
      assert.match(stderr, /ERR_/)
    })
  }

  test('a redeploy under the same name, and even the same id, inherits nothing', async () => {
    const clock = systemClock
    await using authority = createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock })
    await using wired = await wireHost(
      {
        ...{
          authority,
          log,
          http: { host: '127.0.0.1', port: 0 },
          lattice: 'default',
          environment: undefined,
          labels: {},
        },
        ...{
          artifactCache: join(directory, 'transpiled'),
          allowedHostPaths: [],
          deniedAddresses: [],
          memoryLimitMb: undefined,
          requestTimeoutMs: undefined,
        },
      },
      { signal: signal() },
    )
    const runAs = async (namespace: string): Promise<string> => {
      const tenant = { namespace, workload: 'shop', component: 'api', wasm: whoami }
      const { workloads } = parseManifest(stringify(tenantManifest(tenant)), {
        file: 'shop.yaml',
        baseDirectory: directory,
        isFile: existsSync,
      })
      const handle = await wired.host.deploy(workloads[0]!, { signal: signal(), workloadId: 'the-same' })
      const answer = await httpCall(`${wired.url}/`, { host: hostNameOf(tenant) })
      await handle.stop()
      return answer.json().spiffeId ?? answer.json().error.code
    }
    assert.equal(await runAs('alpha'), idOf('alpha', 'api'))
    assert.equal(await runAs('evil'), refused)
    assert.equal(await runAs('beta'), idOf('beta', 'api'))
  })

  test('no token is in what the host wrote', () => {
    assert.doesNotMatch(host.process.stdout + host.process.stderr, /eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  })
})
