import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { parseCalloutPolicy } from '../../src/callout/callout-policy.ts'
import { type HelmChart, openHelmChart, type RenderedObject } from './helm-chart.ts'
import { leastValues, refusedValues, sidecarValues, valueMatrix } from './value-sets.ts'

let chart: HelmChart
before(async () => {
  chart = await openHelmChart('herald-platform')
  if (!chart.realDependencies)
    console.log('the sub-charts nats and runtime-operator are stand-ins: test/charts/stand-ins')
})
after(() => chart[Symbol.dispose]())

for (const [name, values] of Object.entries(valueMatrix)) {
  test(`helm lint is content with ${name}`, async () => {
    const result = await chart.lint(values)
    assert.equal(result.exitCode, 0, result.output)
    assert.doesNotMatch(result.output, /\[(WARNING|ERROR)\]/)
  })

  test(`herald host understands every argument and variable that are rendered for ${name}`, async () => {
    const { args, env } = container(hostOf(await chart.template(values)))
    const variables = env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]))
    const herald = join(import.meta.dirname, '../../bin/herald.js')
    // It gets as far as a manifest that is not there.
    const result = await runProgram(process.execPath, [herald, ...args, '--file=/nowhere/herald-test.yaml'], {
      env: { ...process.env, ...Object.fromEntries(variables) },
    })
    assert.match(result.output, /\/(nowhere|etc\/herald\/workloads)\/[a-z-]+\.yaml/)
    assert.doesNotMatch(result.output, /ERR_USAGE/)
  })
}

test('herald console understands every argument that is rendered, and is told the names of its Service', async () => {
  const byCallout = valueMatrix['NATS by auth callout']!
  for (const values of [valueMatrix['the operator beside NATS']!, byCallout, valueMatrix.everything!]) {
    const { args } = container(
      found(
        await chart.template(values),
        'Deployment',
        values === valueMatrix.everything ? 'house-console' : 'rel-herald-console',
      ),
    )
    assert.ok(
      args.some((arg) => /^--host-name=.*-console\.herald\.svc$/.test(arg)),
      args.join(' '),
    )
    assert.ok(args.some((arg) => arg.startsWith('--nats=')))
    // It gets as far as a server or a file that is not there.
    const herald = join(import.meta.dirname, '../../bin/herald.js')
    const result = await runProgram(process.execPath, [herald, ...args])
    assert.match(result.output, /ERR_LATTICE_/)
    assert.equal(args.includes('--own-spiffe-id=spiffe://example.org/console'), values === byCallout)
    assert.doesNotMatch(result.output, /ERR_USAGE/)
  }
})

test('herald nats-callout understands the policy and every argument that are rendered', async () => {
  const objects = await chart.template(valueMatrix['NATS by auth callout']!)
  const { 'policy.yaml': policy = '' } = found(objects, 'ConfigMap', 'rel-herald-callout').data as Record<
    string,
    string
  >
  assert.equal(parseCalloutPolicy(policy, 'policy.yaml').grants.length, 1)
  const callout = found(objects, 'Deployment', 'rel-herald-callout')
  const { args } = container(callout)
  assert.ok(args.includes('--health=:8081') && JSON.stringify(callout).includes('"path":"/readyz"'))
  const herald = join(import.meta.dirname, '../../bin/herald.js')
  const result = await runProgram(process.execPath, [herald, ...args])
  // It gets as far as a policy that is not there.
  assert.match(result.output, /\/etc\/herald\/(policy\/policy\.yaml|keys)/)
  assert.doesNotMatch(result.output, /ERR_USAGE/)
})

for (const [what, values, message] of refusedValues) {
  test(`${what} is refused with the reason`, async () => {
    await assert.rejects(chart.template(values), message)
  })
}

test('no name is longer than Kubernetes takes, however long the release’s', async () => {
  const release = 'a'.repeat(53)
  const objects = await chart.template({ ...sidecarValues, components: [{ name: 'c'.repeat(63) }] }, { release })
  for (const { kind, metadata } of objects) {
    assert.ok(metadata.name.length <= (kind.startsWith('Cluster') ? 253 : 63), `${kind} ${metadata.name}`)
  }
})

test('the host speaks to no API server, writes only to emptyDirs, and mounts the directory of the socket, not the socket', async () => {
  const { spec } = podOf(hostOf(await chart.template(leastValues)))
  assert.equal(spec.automountServiceAccountToken, false)
  const [host] = spec.containers
  assert.equal(host?.securityContext.readOnlyRootFilesystem, true)
  assert.deepEqual(
    host?.volumeMounts.filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath),
    ['/tmp', '/var/cache/herald', '/var/cache/artifacts'],
  )
  const admin = spec.volumes.find(({ name }) => name === 'spire-admin')
  assert.deepEqual(admin?.hostPath, { path: '/run/spire/agent/sockets/csi.spiffe.io/admin', type: 'Directory' })
})

test('a private agent shares its admin socket through memory only, apart from its workload socket', async () => {
  const objects = await chart.template(sidecarValues)
  const { spec } = podOf(hostOf(objects))
  const agent = found(objects, 'ConfigMap', 'rel-herald-spire-agent')
  const config = (agent.data as Record<string, string>)['agent.conf'] ?? ''
  assert.match(config, /admin_socket_path = "\/run\/spire\/admin\/admin\.sock"/)
  assert.match(config, /socket_path = "\/run\/spire\/workload\/agent\.sock"/)
  assert.match(config, /authorized_delegates = \["spiffe:\/\/example\.org\/wasm-host"\]/)
  assert.equal(
    spec.volumes.some(({ hostPath }) => hostPath !== undefined),
    false,
  )
  const mounts = (name: string) => spec.initContainers?.find((each) => each.name === name)?.volumeMounts
  assert.ok(mounts('spire-agent')?.some(({ name }) => name === 'spire-admin'))
  assert.equal(
    spec.containers[0]?.volumeMounts.some(({ name }) => name === 'spire-workload-socket'),
    false,
  )
})

test('agents with an identity per node are kept on different nodes, agents with one per pod are not', async () => {
  const affinityOf = async (podUidAgentIds: boolean) => {
    const values = {
      ...sidecarValues,
      spire: { adminSocket: { mode: 'sidecar', sidecar: { cluster: 'herald', podUidAgentIds } } },
    }
    return podOf(hostOf(await chart.template(values))).spec.affinity
  }
  assert.ok(JSON.stringify(await affinityOf(false)).includes('requiredDuringScheduling'))
  assert.equal(await affinityOf(true), undefined)
})

test('a component’s entry hangs below the host and names only what the host states', async () => {
  const objects = await chart.template(valueMatrix.everything!)
  const entries = objects.filter(({ kind }) => kind === 'ClusterStaticEntry').map(({ spec }) => spec)
  assert.deepEqual(entries, [
    {
      className: 'spire-server-spire',
      parentID: 'spiffe://example.org/wasm-host',
      spiffeID: 'spiffe://example.org/main/one',
      selectors: ['wasmcloud:component:one'],
      jwtSVIDTTL: '5m',
    },
    {
      className: 'spire-server-spire',
      parentID: 'spiffe://example.org/wasm-host',
      spiffeID: 'spiffe://example.org/ledger/two',
      selectors: [
        'wasmcloud:component:two',
        'wasmcloud:namespace:team-a',
        'wasmcloud:workload:two-1-2',
        'wasmcloud:environment:team-a',
        'wasmcloud:image:ghcr.io/o/two:1',
        `wasmcloud:image-digest:sha256:${'a'.repeat(64)}`,
        'wasmcloud:host-label:zone:a',
      ],
      x509SVIDTTL: '1h',
      hint: 'ledger',
      federatesWith: ['example.com'],
    },
    {
      className: 'spire-server-spire',
      parentID: 'spiffe://example.org/wasm-host',
      spiffeID: 'spiffe://example.org/main/probe',
      selectors: ['wasmcloud:component:probe'],
    },
  ])
})

test('with nothing allowed, the hosts may only be tested, and reach only names and NATS', async () => {
  const objects = await chart.template(leastValues)
  const { ingress, egress, policyTypes } = found(objects, 'NetworkPolicy', 'rel-herald-host').spec as {
    policyTypes: string[]
    ingress: { from: { podSelector: { matchLabels: Record<string, string> } }[] }[]
    egress: { ports: { port: number }[] }[]
  }
  assert.deepEqual(policyTypes, ['Ingress', 'Egress'])
  assert.equal(ingress.length, 1)
  assert.deepEqual(
    ingress[0]?.from.map(({ podSelector }) => podSelector.matchLabels['app.kubernetes.io/component']),
    ['test'],
  )
  assert.deepEqual(
    egress.map(({ ports }) => ports.map(({ port }) => port)),
    [[53, 53], [4222]],
  )
})

test('the hosts get OpenTelemetry’s own variables, the pod’s names among its resource’s attributes, and may reach the collector', async () => {
  const objects = await chart.template(valueMatrix.everything!)
  const { env } = container(hostOf(objects))
  const textOf = (name: string) => env.find((each) => each.name === name)?.value
  assert.equal(textOf('OTEL_EXPORTER_OTLP_ENDPOINT'), 'https://rel-collector.observability/otlp')
  assert.equal(
    textOf('OTEL_RESOURCE_ATTRIBUTES'),
    'k8s.namespace.name=herald,k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME),deployment.environment.name=production',
  )
  const names = env.map(({ name }) => name)
  assert.ok(names.indexOf('NODE_NAME') < names.indexOf('OTEL_RESOURCE_ATTRIBUTES'))
  assert.ok(names.includes('OTEL_EXPORTER_OTLP_HEADERS') && textOf('OTEL_EXPORTER_OTLP_HEADERS') === undefined)
  for (const [endpoint, port] of [
    ['https://collector', 443],
    ['http://collector/x', 80],
    ['http://collector:4318', 4318],
  ] as const) {
    const policy = found(
      await chart.template({ ...leastValues, otlp: { endpoint } }),
      'NetworkPolicy',
      'rel-herald-host',
    )
    assert.ok(JSON.stringify(policy.spec).includes(`"port":${port}`), `${endpoint}: ${JSON.stringify(policy.spec)}`)
  }
  assert.ok(!container(hostOf(await chart.template(leastValues))).env.some(({ name }) => name.startsWith('OTEL_')))
})

test('the host finds the NATS sub-chart under the name of its Service, whatever the release is called', async () => {
  for (const [release, nats] of [
    ['rel', {}],
    ['rel', { fullnameOverride: '' }],
    ['my-nats', { fullnameOverride: '', config: { nats: { port: 4333 } } }],
    ['rel', { fullnameOverride: '', nameOverride: 'bus' }],
  ] as const) {
    const objects = await chart.template({ ...leastValues, nats }, { release })
    const { args } = container(hostOf(objects))
    const services = objects.filter(
      ({ kind, metadata }) => kind === 'Service' && metadata.labels?.['app.kubernetes.io/component'] === 'nats',
    )
    const [, name, port] = /--nats=nats:\/\/([^:]+):(\d+)/.exec(args.join(' ')) ?? []
    const service = services.find(({ metadata }) => metadata.name === name)
    assert.ok(service, `${name} is not among ${services.map(({ metadata }) => metadata.name)}`)
    const { ports } = service.spec as { ports: { name: string; port: number }[] }
    assert.equal(ports.find((each) => each.name === 'nats')?.port, Number(port))
  }
})

for (const [drainTimeout, seconds] of [
  ['20s', 30],
  ['2m', 130],
  ['500ms', 11],
] as const) {
  test(`a drain of ${drainTimeout} is given the time it needs`, async () => {
    const values = { ...leastValues, host: { drainTimeout } }
    assert.equal(podOf(hostOf(await chart.template(values))).spec.terminationGracePeriodSeconds, seconds)
  })
}

// docs/decisions/upstream-operator.md: a hook would hold SIGTERM back, and the host would go on announcing itself.
test('a host is told of its end at once, and serves on by itself instead of by a preStop hook', async () => {
  const values = { ...leastValues, host: { endpointRemovalSeconds: 7, stopDelay: '4s' } }
  const container = podOf(hostOf(await chart.template(values))).spec.containers.find(({ name }) => name === 'host')
  assert.ok(container)
  assert.equal(container.lifecycle, undefined)
  assert.ok(container.args.includes('--drain-delay=7s'), container.args.join(' '))
  assert.ok(container.args.includes('--stop-delay=4s'), container.args.join(' '))
})

type Container = {
  readonly name: string
  readonly lifecycle?: object
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value?: string }[]
  readonly securityContext: { readonly readOnlyRootFilesystem: boolean }
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
}
type Pod = {
  readonly spec: {
    readonly automountServiceAccountToken: boolean
    readonly terminationGracePeriodSeconds: number
    readonly affinity?: object
    readonly initContainers?: readonly Container[]
    readonly containers: readonly Container[]
    readonly volumes: readonly { readonly name: string; readonly hostPath?: object }[]
  }
}

function hostOf(objects: readonly RenderedObject[]): RenderedObject {
  const found = objects.find(
    ({ kind, metadata }) =>
      (kind === 'Deployment' || kind === 'DaemonSet') && metadata.labels?.['app.kubernetes.io/component'] === 'host',
  )
  assert.ok(found, 'the chart renders no host')
  return found
}

function found(objects: readonly RenderedObject[], kind: string, name: string): RenderedObject {
  const object = objects.find((each) => each.kind === kind && each.metadata.name === name)
  assert.ok(object, `the chart renders no ${kind} ${name}`)
  return object
}

function podOf(object: RenderedObject): Pod {
  return (object.spec as { template: Pod }).template
}

function container(object: RenderedObject): Container {
  return podOf(object).spec.containers[0]!
}
