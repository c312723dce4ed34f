import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createCredentialsCapability } from '../../src/capabilities/credentials/credentials-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { cellSpec, component, log, signal, testEngine } from '../engine/engine-fixture.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { buildProbe } from './guest/build-probe.ts'
import { startGcpStandIn } from './stand-ins/gcp-stand-in.ts'

const gateway = 'spiffe://example.org/default/api-gateway'
const gcpProvider = 'projects/123456789012/locations/global/workloadIdentityPools/herald/providers/api-gateway'
let spire: Spire
let minio: Minio
let probe: Uint8Array
before(async () => {
  spire = await startSpire()
  await spire.createEntry({ spiffeId: gateway, selectors: ['wasmcloud:component:api-gateway'] })
  minio = await startMinio({ oidcConfigUrl: spire.discoveryUrl })
  probe = await buildProbe()
})
after(async () => {
  await minio[Symbol.asyncDispose]()
  await spire[Symbol.asyncDispose]()
})

/** Runs the probe in a real cell, with real SVIDs. @returns its lines. */
async function run(
  args: readonly string[],
  bindings: Readonly<Record<string, Record<string, string>>>,
): Promise<string[]> {
  const clock = systemClock
  await using stack = new AsyncDisposableStack()
  const authority = stack.use(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock }))
  const svids = stack.use(createSvidSource({ authority, clock, log }))
  const capability = stack.use(createCredentialsCapability({ svids, fetch, loopbackEndpoints: true, clock, log }))
  const engine = stack.use(testEngine())
  const entries = Object.entries(bindings).map(
    ([name, config]): HostInterface => ({
      namespace: 'herald',
      package: 'credentials',
      version: '0.1.0',
      interfaces: ['store'],
      name,
      config,
    }),
  )
  const binding = await capability.configure(componentFacts(), entries, { signal: signal() })
  const guest = component(
    probe,
    {},
    {
      args,
      bindings: [binding],
      capabilityInterfaces: capability.interfaces,
      capabilityWaits: capability.waits,
    },
  )
  const cell = stack.use(await engine.startCell(cellSpec(guest), { signal: signal() }))
  const lines: string[] = []
  cell.onOutput(({ text }) => lines.push(text))
  assert.deepEqual(await cell.run('guest', { signal: signal() }), { exitCode: 0 })
  return lines
}

const onMinio = () => ({
  provider: 'aws',
  'role-arn': minio.roleArn,
  region: 'us-east-1',
  'sts-endpoint': minio.endpoint,
})

test('one component, unchanged, gets what its binding means at a real STS and at Google', async () => {
  await using gcp = await startGcpStandIn({
    issuer: spire.issuer,
    provider: gcpProvider,
    subject: gateway,
    allowedAudience: `https://iam.googleapis.com/${gcpProvider}`,
    serviceAccount: 'none',
  })
  const google = {
    ...{ provider: 'gcp', 'workload-identity-provider': gcpProvider },
    'token-endpoint': `${gcp.url}/v1/token`,
  }
  const answers: string[] = []
  // The same bytes ask for the same name each time: only the deployment differs. With Vault: moved-component.
  for (const config of [onMinio(), google]) answers.push(...(await run(['storage'], { storage: config })))
  assert.match(answers[0] ?? '', /^storage: aws [A-Z0-9]{20} us-east-1 secret 40 session \d{3,} until \d{10}$/)
  assert.match(answers[1] ?? '', /^storage: bearer 64 until \d{10}$/)
  assert.equal(answers.length, 2)
})

test('the second call of a guest is answered from memory, and a name that is not bound is unknown to it', async () => {
  const [first, second, other] = await run(['storage', 'storage', 'model'], { storage: onMinio() })
  assert.match(first ?? '', /^storage: aws /)
  assert.equal(second, first)
  assert.equal(other, 'model: unknown-binding')
})

test('a refusal reaches the guest with its reason and what to do, a component without entry has no identity', async () => {
  const [refused] = await run(['storage'], { storage: { ...onMinio(), audience: 'other' } })
  assert.match(
    refused ?? '',
    /^storage: refused AWS STS refused the identity: .*herald identity explain WORKLOAD --for aws/,
  )
  const [nobody] = await run(['storage'], {
    storage: { ...onMinio(), 'spiffe-id': 'spiffe://example.org/default/other' },
  })
  assert.equal(nobody, 'storage: no-identity')
})
