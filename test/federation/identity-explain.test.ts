import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import type { ExplainOptions } from '../../src/cli/identity-explain-command.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { type Explained, type Explainer, identityOf, openExplainer } from './explainer.ts'

const gateway = 'spiffe://example.org/default/api-gateway'
let spire: Spire
let explainer: Explainer
before(async () => {
  spire = await startSpire()
  explainer = openExplainer({ spireAdminSocket: spire.adminSocketPath })
})
after(async () => {
  await spire[Symbol.asyncDispose]()
  explainer[Symbol.dispose]()
})

const manifest = (name: string, hostInterfaces: string): string => explainer.manifest(name, hostInterfaces)
const explain = (file: string, options: Partial<ExplainOptions> = {}): Promise<Explained> =>
  explainer.explain(file, options)

const refused = (error: unknown) => assert.ok(isHeraldError(error, 'ERR_FEDERATION_REFUSED'), inspect(error))

test('without an entry the cause is that there is none, and what mends it makes it', async () => {
  const file = manifest('nobody', identityOf('a'))
  const { json, error } = await explain(file)
  assert.equal(json.cause?.name, 'no-entry')
  assert.equal(json.cause?.mend, 'herald trust spire nobody.yaml --trust-domain TRUST-DOMAIN | sh')
  assert.ok(isHeraldError(error) && error.exitCode === 3)
  assert.deepEqual(
    json.selectors.map(({ selector, from }) => [selector.replace(/sha256:.*/, 'sha256:'), from]),
    [
      ['wasmcloud:component:nobody', 'nobody.yaml: components[0].name'],
      ['wasmcloud:namespace:shop', 'nobody.yaml: metadata.namespace'],
      ['wasmcloud:workload:nobody', 'nobody.yaml: metadata.name'],
      ['wasmcloud:lattice:default', '--lattice, as herald host has it'],
      ['wasmcloud:image:file://x.wasm', 'nobody.yaml: image'],
      ['wasmcloud:image-digest:sha256:', 'the bytes of the file'],
    ],
  )
})

test("with the server's entries the nearest one and the selector in the way are named", async () => {
  const file = manifest('almost', identityOf('a'))
  const id = await spire.createEntry({
    spiffeId: 'spiffe://example.org/default/almost',
    selectors: ['wasmcloud:component:almost', 'wasmcloud:namespace:store'],
  })
  const entries = (await spire.listEntries()).map((entry) => ({
    ...entry,
    spiffe_id: split(entry.spiffeId),
    parent_id: split(entry.parentId),
    selectors: entry.selectors.map(splitSelector),
  }))
  writeFileSync(join(explainer.directory, 'entries.json'), JSON.stringify({ entries }))
  for (const options of [{}, { spireAdminSocket: undefined as never }]) {
    const { json } = await explain(file, { entries: 'entries.json', ...options })
    assert.equal(json.cause?.name, 'entry-does-not-match')
    assert.match(
      json.cause?.detail ?? '',
      /almost, wants wasmcloud:namespace:store, which this host would not state: it states wasmcloud:namespace:shop/,
    )
    // That entry may be right for a component of that namespace: it is left alone.
    assert.match(json.cause?.mend ?? '', /^herald trust spire almost\.yaml /)
    assert.equal(json.entries?.near[0]?.entry.id, id)
  }
})

test('several entries are ambiguous until spiffe-id chooses', async () => {
  for (const path of ['one', 'two']) {
    await spire.createEntry({ spiffeId: `spiffe://example.org/${path}`, selectors: ['wasmcloud:component:twice'] })
  }
  const { json } = await explain(manifest('twice', identityOf('nats')), { for: 'nats', audience: 'nats' })
  assert.equal(json.cause?.name, 'ERR_SVID_AMBIGUOUS')
  const chosen = await explain(manifest('twice', identityOf('nats', ', spiffe-id: "spiffe://example.org/two"')), {
    for: 'nats',
  })
  assert.equal(chosen.error, undefined)
  assert.deepEqual(chosen.json.identity, {
    kind: 'issued',
    by: 'SPIRE',
    spiffeId: 'spiffe://example.org/two',
    candidates: ['spiffe://example.org/one', 'spiffe://example.org/two'],
  })
})

test('a binding chooses by its own spiffe-id', async () => {
  const binding =
    '{ namespace: herald, package: credentials, version: 0.1.0, interfaces: [store], name: x, config: { provider: jwt-svid, audience: a, spiffe-id: "spiffe://example.org/one" } }'
  const { json } = await explain(manifest('twice', binding), { for: 'nats', audience: 'a' })
  assert.equal(json.identity.kind === 'issued' && json.identity.spiffeId, 'spiffe://example.org/one')
})

test("a real SVID and SPIRE's real discovery: each relying party's answer to them", async () => {
  await spire.createEntry({ spiffeId: gateway, selectors: ['wasmcloud:component:api-gateway'], jwtSvidTtlS: 300 })
  const file = manifest(
    'api-gateway',
    identityOf('sts.amazonaws.com, api://AzureADTokenExchange, https://vault, https://sso'),
  )
  const cause = async (options: Partial<ExplainOptions>) => {
    const { json, error } = await explain(file, options)
    if (json.cause !== undefined) refused(error)
    return json.cause?.name ?? 'accepted'
  }
  // SPIRE's issuer here is http://localhost:PORT: right for those on this machine, wrong for clouds.
  assert.equal(await cause({ for: 'aws' }), 'issuer-not-https')
  assert.equal(await cause({ for: 'azure' }), 'issuer-not-https')
  assert.equal(await cause({ for: 'kubernetes', audience: 'https://vault' }), 'issuer-not-https')
  assert.equal(await cause({ for: 'minio' }), 'accepted')
  assert.equal(await cause({ for: 'vault', audience: 'https://vault' }), 'accepted')
  assert.equal(
    await cause({ for: 'vault', audience: 'https://vault', issuer: `${spire.issuer}/` }),
    'issuer-trailing-slash',
  )
  assert.equal(await cause({ for: 'vault', audience: 'https://vault', issuer: 'http://localhost:1' }), 'issuer-differs')
  assert.equal(
    await cause({ for: 'vault', audience: 'https://vault', subject: 'spiffe://example.org/default/ledger' }),
    'subject-differs',
  )
  assert.equal(await cause({ for: 'vault', audience: 'https://unlisted' }), 'audience-not-listed')
  assert.equal(await cause({ for: 'keycloak', audience: 'https://sso' }), 'issuer-unwanted')
})

test('bindings and audiences lead to their relying parties by themselves', async () => {
  const binding = `{ namespace: herald, package: credentials, version: 0.1.0, interfaces: [store], name: storage, config: { provider: aws, role-arn: "arn:minio:iam:::role/x", region: us-east-1 } }`
  const { json } = await explain(manifest('api-gateway', `${identityOf('api://AzureADTokenExchange')}, ${binding}`))
  assert.deepEqual(
    json.parties.map(({ party, because, verdict }) => [party, because, verdict]),
    [
      ['minio', 'binding "storage"', 'accepted'],
      ['azure', 'audiences', 'refused'],
    ],
  )
})

test('the report for people says the same, with cause and remedy at its end', async () => {
  const { text } = await explain(manifest('api-gateway', identityOf('sts.amazonaws.com')), { output: 'text' })
  assert.match(text, /^api-gateway of shop\/api-gateway, image file:\/\/x\.wasm\n/)
  assert.match(text, /Identity: spiffe:\/\/example\.org\/default\/api-gateway, issued by SPIRE/)
  assert.match(
    text,
    /AWS IAM and STS, audience sts\.amazonaws\.com \(audiences\): refused\n {2}refuses issuer-not-https: /,
  )
  assert.match(text, /\nCause: issuer-not-https: .*\nMend: {2}set jwt_issuer = "https:.*\n$/)
})

test('an agent that is away is told as that, and nobody to ask is no success', async () => {
  const file = manifest('api-gateway', identityOf('a'))
  const away = await explain(file, { spireAdminSocket: join(explainer.directory, 'no.sock') })
  assert.ok(isHeraldError(away.error) && away.error.exitCode === 4, inspect(away.error))
  const nobody = await explain(file, { spireAdminSocket: undefined as never })
  assert.ok(isHeraldError(nobody.error, 'ERR_USAGE'))
  assert.equal(nobody.json.cause?.name, 'nobody-asked')
})

function split(id: string): { trust_domain: string; path: string } {
  const [, trust_domain = '', path = ''] = /^spiffe:\/\/([^/]+)(\/.*)$/.exec(id) ?? []
  return { trust_domain, path }
}

function splitSelector(selector: string): { type: string; value: string } {
  const colon = selector.indexOf(':')
  return { type: selector.slice(0, colon), value: selector.slice(colon + 1) }
}
