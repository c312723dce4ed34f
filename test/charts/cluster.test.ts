import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { programPath } from '../../scripts/servers.ts'
import {
  type Kubernetes,
  type KubernetesObject,
  type PodSecurityLevel,
  servesKind,
  startKubernetes,
} from '../support/kubernetes.ts'
import { writeKubernetesSchemas } from '../support/kubernetes-schemas.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type HelmChart, openHelmChart, type RenderedObject, readObjectsOfFile, type Values } from './helm-chart.ts'
import { calloutValues, leastValues, sidecarValues, valueMatrix } from './value-sets.ts'

const cleanup = new AsyncDisposableStack()
const directory = cleanup.use(temporaryDirectory()).path
let kubernetes: Kubernetes
let chart: HelmChart
let schemaLocation: string

before(async () => {
  chart = cleanup.use(await openHelmChart('herald-platform'))
  kubernetes = cleanup.use(await startKubernetes())
  await kubernetes.apply(readObjectsOfFile(join(import.meta.dirname, 'stand-ins/custom-resource-definitions.yaml')))
  await servesKind(kubernetes, 'clusterspiffeids')
  await servesKind(kubernetes, 'clusterstaticentries')
  const runtimeClass = {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'gvisor' },
    handler: 'runsc',
  }
  await kubernetes.apply([runtimeClass])
  schemaLocation = await writeKubernetesSchemas(kubernetes, join(directory, 'schemas'))
})
after(() => cleanup.disposeAsync())

let namespaces = 0
async function newNamespace(level: PodSecurityLevel): Promise<string> {
  const name = `herald-${++namespaces}`
  await kubernetes.createNamespace(name, level)
  return name
}

type Controller = {
  readonly template?: { readonly metadata: object; readonly spec: { readonly volumes?: readonly object[] } }
  readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[]
}

/** The pods that the controllers would make of the rendered objects, those of sub-charts too. */
function podsOf(objects: readonly RenderedObject[], namespace: string): readonly KubernetesObject[] {
  return objects.flatMap((object) => {
    const { template, volumeClaimTemplates = [] } = (object.spec ?? {}) as Controller
    if (template === undefined) return []
    const { name } = object.metadata
    const claims = volumeClaimTemplates.map(({ metadata }) => ({
      name: metadata.name,
      persistentVolumeClaim: { claimName: `${metadata.name}-${name}-0` },
    }))
    const spec = { ...template.spec, volumes: [...(template.spec.volumes ?? []), ...claims] }
    return [{ apiVersion: 'v1', kind: 'Pod', metadata: { ...template.metadata, name, namespace }, spec }]
  })
}

const heralds = (objects: readonly RenderedObject[]) =>
  objects.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/part-of'] === 'herald')

for (const [name, values] of Object.entries(valueMatrix)) {
  test(`the API server takes every object of ${name}, in a dry run and for real`, async () => {
    const namespace = await newNamespace('privileged')
    const objects = await chart.template(values, { release: 'rel', namespace })
    await kubernetes.apply(objects, { dryRun: true, namespace })
    await kubernetes.apply(objects, { namespace })
    const listed = await kubernetes.objectsOf('rel')
    for (const { kind, metadata } of heralds(objects)) {
      assert.ok(
        listed.some((each) => each.startsWith(kind.toLowerCase()) && each.endsWith(`/${metadata.name}`)),
        `${kind} ${metadata.name}`,
      )
    }
    await kubernetes.kubectl('delete', 'clusterspiffeids,clusterstaticentries', '--all')
  })

  test(`kubeconform finds every object of ${name} valid by the API server's own schemas`, async () => {
    const file = join(directory, `objects-${name.replaceAll(' ', '-')}`)
    mkdirSync(file)
    const objects = await chart.template(values)
    // The real NATS chart writes keys without a value, which the API server takes for none and the schemas refuse.
    const withoutNulls = (_: string, value: unknown) => (value === null && chart.realDependencies ? undefined : value)
    for (const [index, object] of objects.entries())
      writeFileSync(join(file, `${index}.json`), JSON.stringify(object, withoutNulls))
    const result = await kubeconform(file)
    assert.equal(result.exitCode, 0, result.output)
    const { summary } = JSON.parse(result.stdout) as { summary: { valid: number; skipped: number } }
    assert.deepEqual([summary.valid, summary.skipped], [objects.length, 0])
  })
}

test('kubeconform with these schemas refuses a field that does not exist', async () => {
  const file = join(directory, 'wrong.json')
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: { portz: [] } }
  writeFileSync(file, JSON.stringify(service))
  const result = await kubeconform(file)
  assert.equal(result.exitCode, 1)
  assert.match(result.output, /portz/)
})

async function kubeconform(file: string) {
  const args = ['-schema-location', schemaLocation, '-summary', '-output', 'json', '-strict', file]
  return await runProgram(await programPath('kubeconform'), args)
}

test('with private agents every pod runs at Pod Security level restricted: host, console, callout service, NATS and the operator', async () => {
  const namespace = await newNamespace('restricted')
  const console = { enabled: true, credentials: { kind: 'none' } }
  const values = { ...calloutValues, ...sidecarValues, console, 'runtime-operator': { enabled: true } }
  const objects = await chart.template(values, { namespace })
  const pods = podsOf(objects, namespace)
  assert.deepEqual(pods.map(({ metadata }) => metadata.name).sort(), [
    'nats',
    'rel-herald-callout',
    'rel-herald-console',
    'rel-herald-host',
    'runtime-operator',
  ])
  await kubernetes.apply(objects, { namespace })
  await kubernetes.apply(pods)
  const withTest = heralds(await chart.template(sidecarValues, { namespace }))
  await kubernetes.apply(podsOf(withTest, namespace).filter(({ metadata }) => metadata.name === 'rel-herald-test'))
})

test('a host on the node’s admin socket needs level privileged, and nothing but the hostPath volume is the reason', async () => {
  const baseline = await newNamespace('baseline')
  const objects = heralds(await chart.template(leastValues, { namespace: baseline }))
  const [host] = podsOf(objects, baseline)
  await kubernetes.apply(objects, { namespace: baseline })
  await assert.rejects(kubernetes.apply([host!]), (error: Error) => {
    const [, reasons] = /violates PodSecurity "baseline:latest": (.*)/.exec(error.message) ?? []
    assert.match(reasons ?? error.message, /^hostPath volumes \(volume "spire-admin"\)/)
    return true
  })
  const privileged = await newNamespace('privileged')
  const again = heralds(await chart.template(leastValues, { namespace: privileged }))
  await kubernetes.apply(again, { namespace: privileged })
  await kubernetes.apply(podsOf(again, privileged))
})

/** helm against the real API server. @throws with its output unless it exits with 0 */
async function helm(...args: readonly string[]): Promise<string> {
  const result = await chart.helm(args, kubernetes)
  if (result.exitCode !== 0) throw new Error(result.output)
  return result.output
}

const valuesArgs = (values: Values) => ['--values', chart.valuesFile(values)]

test('helm install, upgrade and uninstall on the real API server leave nothing behind', async () => {
  const namespace = await newNamespace('restricted')
  const before = new Set(await everything(namespace))
  const at = ['--namespace', namespace]
  const notes = await helm('install', 'house', chart.directory, ...at, ...valuesArgs(sidecarValues))
  assert.match(notes, /service_account_allow_list = \["herald-\d+:house-herald-host"\]/)
  assert.ok((await kubernetes.objectsOf('house')).length >= 8)
  const more = {
    ...calloutValues,
    ...sidecarValues,
    host: { replicas: 3, group: 'blue' },
    components: [{ name: 'api-gateway' }],
    console: { enabled: true, credentials: { kind: 'none' } },
  }
  await helm('upgrade', 'house', chart.directory, ...at, ...valuesArgs(more))
  assert.equal(
    await kubernetes.kubectl('get', 'deployment/house-herald-host', ...at, '--output=jsonpath={.spec.replicas}'),
    '3',
  )
  await helm('uninstall', 'house', ...at)
  assert.deepEqual(await kubernetes.objectsOf('house'), [])
  const left = (await everything(namespace)).filter((each) => !before.has(each))
  assert.deepEqual(left, [])
})

/** Every object of a namespace, of every kind, Helm's own secrets included; and the entries, which have no namespace. */
async function everything(namespace: string): Promise<string[]> {
  const kinds = (await kubernetes.kubectl('api-resources', '--verbs=list', '--namespaced', '--output=name'))
    .trim()
    .split('\n')
  const listed = kinds.filter((kind) => !kind.startsWith('events')).join(',')
  const inside = await kubernetes.kubectl('get', listed, `--namespace=${namespace}`, '--output=name')
  const outside = await kubernetes.kubectl('get', 'clusterspiffeids,clusterstaticentries', '--output=name')
  return `${inside}\n${outside}`.split('\n').filter((each) => each !== '')
}

test('an upgrade that would change an immutable field is refused before anything changes, and says what to do', async () => {
  const namespace = await newNamespace('restricted')
  const at = ['--namespace', namespace]
  const named = { ...sidecarValues, fullnameOverride: 'house' }
  await helm('install', 'still', chart.directory, ...at, ...valuesArgs(named))
  const renamed = { ...named, nameOverride: 'other', host: { replicas: 5 } }
  await assert.rejects(helm('upgrade', 'still', chart.directory, ...at, ...valuesArgs(renamed)), (error: Error) => {
    assert.match(
      error.message,
      /the selector of the existing Deployment house-host has app\.kubernetes\.io\/name=herald, and this upgrade wants other/,
    )
    assert.match(
      error.message,
      /Set nameOverride as it was, or first run: kubectl -n herald-\d+ delete deployment house-host --cascade=orphan/,
    )
    return true
  })
  assert.equal(
    await kubernetes.kubectl('get', 'deployment/house-host', ...at, '--output=jsonpath={.spec.replicas}'),
    '2',
  )
  await kubernetes.kubectl('delete', 'deployment', 'house-host', '--cascade=orphan', '--wait=false', ...at)
  // The garbage collector's part.
  await kubernetes.kubectl('patch', 'deployment/house-host', ...at, '--patch={"metadata":{"finalizers":null}}')
  await helm('upgrade', 'still', chart.directory, ...at, ...valuesArgs(renamed))
  assert.equal(
    await kubernetes.kubectl('get', 'deployment/house-host', ...at, '--output=jsonpath={.spec.replicas}'),
    '5',
  )
  await helm('uninstall', 'still', ...at)
})

test('an upgrade from the chart version before changes no selector, whatever it adds', async () => {
  const namespace = await newNamespace('restricted')
  const at = ['--namespace', namespace]
  const before = join(directory, 'chart-before')
  cpSync(chart.directory, before, { recursive: true })
  const description = join(before, 'Chart.yaml')
  writeFileSync(description, readFileSync(description, 'utf8').replace(/^(version|appVersion): .*$/gm, '$1: 0.0.9'))
  await helm('install', 'older', before, ...at, ...valuesArgs(sidecarValues))
  const selectors = () =>
    kubernetes.kubectl('get', 'deployments,statefulsets', ...at, '--output=jsonpath={.items[*].spec.selector}')
  const selected = await selectors()
  await helm('upgrade', 'older', chart.directory, ...at, ...valuesArgs(sidecarValues))
  assert.equal(await selectors(), selected)
  const version = await kubernetes.kubectl(
    ...['get', 'deployment/older-herald-host', ...at],
    '--output=jsonpath={.metadata.labels.helm\\.sh/chart}',
  )
  assert.equal(version, 'herald-platform-0.1.0')
  await helm('uninstall', 'older', ...at)
})

test('an upgrade that would change the size of NATS’ volumes is refused before anything changes, and says what to do', async () => {
  const namespace = await newNamespace('restricted')
  const at = ['--namespace', namespace]
  await helm('install', 'sized', chart.directory, ...at, ...valuesArgs(sidecarValues))
  const nats = { config: { jetstream: { fileStore: { pvc: { size: '20Gi' } } } } }
  const larger = { ...sidecarValues, nats, host: { replicas: 5 } }
  await assert.rejects(
    helm('upgrade', 'sized', chart.directory, ...at, ...valuesArgs(larger)),
    /the volumes of the existing StatefulSet nats have 10Gi, and this upgrade wants 20Gi.*kubectl -n herald-\d+ delete statefulset nats --cascade=orphan/,
  )
  const replicas = await kubernetes.kubectl(
    'get',
    'deployment/sized-herald-host',
    ...at,
    '--output=jsonpath={.spec.replicas}',
  )
  assert.equal(replicas, '2')
  await helm('uninstall', 'sized', ...at)
})

test('an upgrade from a Deployment to a DaemonSet replaces the one with the other', async () => {
  const namespace = await newNamespace('restricted')
  const at = ['--namespace', namespace]
  await helm('install', 'kinds', chart.directory, ...at, ...valuesArgs(sidecarValues))
  await helm(
    'upgrade',
    'kinds',
    chart.directory,
    ...at,
    ...valuesArgs({ ...sidecarValues, host: { kind: 'DaemonSet' } }),
  )
  const hosts = await kubernetes.kubectl(
    'get',
    'deployments,daemonsets',
    ...at,
    '--selector=app.kubernetes.io/part-of=herald',
    '--output=name',
  )
  assert.equal(hosts.trim(), 'daemonset.apps/kinds-herald-host')
  await helm('uninstall', 'kinds', ...at)
})
