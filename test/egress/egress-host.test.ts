import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { type HeraldProcess, startHerald } from '../cli/herald-process.ts'
import { guestInC } from '../engine/guests/build-guest.ts'
import { startHttpStandIn } from '../relying-parties/http-stand-in.ts'
import { createOidcRelyingParty } from '../relying-parties/oidc-relying-party.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const audience = 'https://api.example.com'

// The same as users do it: manifests of upstream's shape, `herald host`, a real SPIRE. The component imports wasi:http and no identity.
describe('herald:egress in a manifest', () => {
  const cleanup = new AsyncDisposableStack()
  let spire: Spire
  let herald: HeraldProcess
  const seen = new Map<string, { authorization: boolean; subject: string | undefined }>()

  before(async () => {
    spire = cleanup.use(await startSpire())
    for (const name of ['signed', 'unlisted']) {
      const selectors = [`wasmcloud:component:${name}`, 'wasmcloud:namespace:shop']
      await spire.createEntry({ spiffeId: `spiffe://example.org/shop/${name}`, selectors })
    }
    const party = createOidcRelyingParty([{ issuer: spire.issuer, clientIds: [audience] }])
    const api = await startHttpStandIn(async ({ target, headers }) => {
      const token = headers.authorization?.replace(/^Bearer /, '')
      const subject = token === undefined ? undefined : (await party.verify(token)).subject
      seen.set(target, { authorization: token !== undefined, subject })
      return { status: subject === undefined ? 401 : 200, headers: {}, body: `hello ${subject}` }
    })
    cleanup.defer(() => api.close())
    const directory = cleanup.use(temporaryDirectory()).path
    const wasm = join(directory, 'probe.wasm')
    writeFileSync(wasm, await guestInC(import.meta.dirname, 'request-probe'))
    const signing = {
      ...{ namespace: 'herald', package: 'egress', interfaces: ['signing'], version: '0.1.0', name: 'api' },
      config: { host: api.url, 'bearer-audience': audience },
    }
    const manifest = (name: string, hostInterfaces: readonly object[]): object => {
      const { host } = new URL(api.url)
      const config = { A: 'GET', B: 'http', C: host, D: `/${name}`, E: '-', F: 'before' }
      const localResources = { allowedHosts: [api.url], environment: { config } }
      return {
        apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
        kind: 'WorkloadDeployment',
        metadata: { name, namespace: 'shop' },
        spec: {
          template: { spec: { components: [{ name, image: `file://${wasm}`, localResources }], hostInterfaces } },
        },
      }
    }
    const file = join(directory, 'workloads.yaml')
    const workloads = [manifest('signed', [signing]), manifest('unlisted', []), manifest('stranger', [signing])]
    writeFileSync(file, workloads.map((workload) => stringify(workload)).join('---\n'))
    const args = ['--spire-admin-socket', spire.adminSocketPath, '--http', '127.0.0.1:0', '--output', 'json']
    herald = cleanup.use(startHerald(['host', '-f', file, ...args]))
    const said = (): string => herald.stdout + herald.stderr
    for (let tries = 0; tries < 300 && (said().match(/workload\.completed/g)?.length ?? 0) < 3; tries++)
      await sleep(100)
  })
  after(() => cleanup.disposeAsync())

  test('a workload that lists it is known to the API by its SVID', () => {
    assert.deepEqual(seen.get('/signed'), { authorization: true, subject: 'spiffe://example.org/shop/signed' })
  })

  test('one that does not list it runs, and its request goes out as it is', () => {
    assert.deepEqual(seen.get('/unlisted'), { authorization: false, subject: undefined })
  })

  test('one without an identity sends nothing at all', () => {
    assert.equal(seen.has('/stranger'), false)
    assert.match(herald.stdout + herald.stderr, /error 15/)
    assert.match(herald.stdout + herald.stderr, /audit\.egress\.refused/)
  })

  test('the use is in the audit log, and no token is in anything', () => {
    const said = herald.stdout + herald.stderr
    assert.match(said, /audit\.egress\.signed/)
    assert.doesNotMatch(said, /eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  })
})
