// Upstream's real operator drives the hosts that the chart renders, running in the image with exactly their arguments, environment, files and user.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildComponents } from '../../scripts/build-components.ts'
import { pushLayout } from '../../scripts/image/push-layout.ts'
import { buildImage } from '../../scripts/image.ts'
import { createLog } from '../../src/observability/log.ts'
import {
  conditionOf,
  group,
  operatorNamespace,
  type Stored,
  startUpstreamOperator,
  type UpstreamOperator,
} from '../control/upstream-operator.ts'
import { signal, testClient } from '../oci/oci-test-setup.ts'
import { freePort } from '../support/free-port.ts'
import { httpCall } from '../support/http-call.ts'
import { startLog } from '../support/log.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { type Registry, startRegistry } from '../support/registry.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { openHelmChart, type RenderedObject } from './helm-chart.ts'
import { type ImageRoot, pullImageRoot } from './image-root.ts'
import { type RenderedHost, runRenderedHost } from './run-rendered-host.ts'

const { HERALD_OPERATOR_BIN: program, HERALD_OPERATOR_CRDS: crds } = process.env
const skip =
  program === undefined || crds === undefined
    ? "NOT RUN: upstream's real operator on what the chart renders. Set HERALD_OPERATOR_BIN and HERALD_OPERATOR_CRDS, as for test/control/upstream-operator.test.ts"
    : process.getuid?.() !== 0 && 'NOT RUN: needs root, for mount namespaces and chroot'
if (skip !== false) console.log(`### ${skip}`)

const team = 'team-a'
const component = 'rolling'
const adminDirectory = '/run/spire/agent/sockets/csi.spiffe.io/admin'
const pods = `/api/v1/namespaces/${operatorNamespace}/pods`

type Pod = { readonly name: string; readonly address: string; readonly port: number; readonly host: RenderedHost }

suite("Upstream's real operator 2.7, and the hosts of the chart", { skip, timeout: 900_000 }, () => {
  const cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  let nats: Nats
  let registry: Registry
  let spire: Spire
  let operator: UpstreamOperator
  let image: ImageRoot
  let started = 0

  before(async () => {
    registry = cleanup.use(await startRegistry())
    const log = createLog({ level: 'info', destination: { write: startLog('image-push').append } })
    const reference = `${registry.host}/herald/herald:test`
    const { layout } = await buildImage(join(directory, 'image'))
    await pushLayout(layout, reference, { log, signal: AbortSignal.timeout(300_000) })
    image = await pullImageRoot(reference, join(directory, 'root'))
    const client = await testClient()
    for (const [, path] of await buildComponents(['hello-c']))
      await client.push(`${registry.host}/demo/hello-c:1`, readFileSync(path), { signal: signal() })
    nats = cleanup.use(await startNats())
    spire = cleanup.use(await startSpire({ hostEntry: false }))
    const selectors = ['unix:uid:65532']
    await spire.createEntry({ spiffeId: spire.hostSpiffeId, parentId: spire.agentSpiffeId, selectors })
    operator = cleanup.use(await startUpstreamOperator(program!, crds!, nats.url))
    await operator.kubernetes.createNamespace(team, 'restricted')
  })
  after(() => cleanup.disposeAsync())

  async function until<T>(what: string, look: () => Promise<T | false | undefined>, timeoutMs = 120_000): Promise<T> {
    for (const deadline = performance.now() + timeoutMs; ; await sleep(50)) {
      const found = await look()
      if (found !== false && found !== undefined) return found
      assert.ok(
        performance.now() < deadline,
        `${what}: not within ${timeoutMs / 1000} s\n${operator.logs().slice(-2000)}`,
      )
    }
  }

  /** The rendered pod, as a Deployment, a scheduler and a kubelet bring it about: its object with an address, then its process. */
  async function startPod(): Promise<Pod> {
    const name = `rel-herald-host-7d4b9c-${'abcdef'[started]}${started}`
    const address = `10.20.1.${++started}`
    const [port, healthPort] = [await freePort(), await freePort()]
    using chart = await openHelmChart('herald-platform')
    const objects = await chart.template(
      {
        trustDomain: 'example.org',
        host: {
          group: 'chart',
          operatorFinalizer: true,
          http: { port },
          health: { port: healthPort },
          endpointRemovalSeconds: 5,
        },
        nats: { config: { nats: { port: Number(new URL(nats.url).port) } } },
      },
      { namespace: operatorNamespace },
    )
    await operator.kubernetes.apply([podOf(objects, name)])
    await operator.patchStatus(`${pods}/${name}`, { podIP: address, podIPs: [{ ip: address }] })
    const volumes = join(directory, name)
    mkdirSync(volumes)
    const host = await runRenderedHost({
      ...{ image, objects, podName: name, podIp: address, directory: volumes, names: ['nats'] },
      nodeDirectories: { [adminDirectory]: join(spire.adminSocketPath, '..') },
    })
    cleanup.use(host)
    await until('its Host object is Ready', async () => conditionOf(await hostObject(name), 'Ready') === 'True')
    return { name, address, port, host }
  }

  /** With the rendered labels, by which the operator knows a host's pod. What would need a node is left out. */
  function podOf(objects: readonly RenderedObject[], name: string): object {
    const { template } = objects.find(({ kind }) => kind === 'Deployment')!.spec as {
      template: { metadata: { labels: object } }
    }
    const container = {
      ...{ name: 'host', image: 'example.org/herald:1' },
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    }
    const securityContext = { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } }
    const metadata = { name, namespace: operatorNamespace, labels: template.metadata.labels }
    return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { securityContext, containers: [container] } }
  }

  const hostObject = (name: string) => operator.get(`${group}/namespaces/${operatorNamespace}/hosts/${name}`)
  const workloads = () => operator.list(`${group}/namespaces/${team}/workloads`)
  const isReady = (object: Stored) =>
    object.metadata.deletionTimestamp === undefined && conditionOf(object, 'Ready') === 'True'
  const bothReady = async () => {
    const all = await workloads()
    return all.length === 2 && all.every(isReady) && all
  }
  /** `address:port` of all slices of the Service. */
  async function endpoints(): Promise<readonly string[]> {
    const query = `labelSelector=kubernetes.io/service-name=${component}`
    const slices = await operator.list(`/apis/discovery.k8s.io/v1/namespaces/${team}/endpointslices?${query}`)
    return slices
      .flatMap((slice) =>
        (slice.endpoints ?? []).flatMap(({ addresses }) =>
          (slice.ports ?? []).flatMap(({ port }) => addresses.map((address) => `${address}:${port}`)),
        ),
      )
      .sort()
  }
  const served = (...running: readonly Pod[]) => running.map(({ address, port }) => `${address}:${port}`).sort()
  const applyGeneration = (generation: number) =>
    operator.kubernetes.apply([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: component, namespace: team },
        spec: { ports: [{ name: 'http', port: 80 }] },
      },
      {
        apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
        kind: 'WorkloadDeployment',
        metadata: { name: component, namespace: team },
        spec: {
          replicas: 2,
          kubernetes: { service: { name: component } },
          template: {
            spec: {
              hostSelector: { hostgroup: 'chart' },
              components: [
                {
                  name: component,
                  image: `${registry.host}/demo/hello-c:1`,
                  localResources: { environment: { config: { GENERATION: String(generation) } } },
                },
              ],
              hostInterfaces: [
                {
                  namespace: 'wasi',
                  package: 'http',
                  interfaces: ['incoming-handler'],
                  config: { host: `${component}.test` },
                },
              ],
            },
          },
        },
      },
    ])

  /** Clients of the Service, to its endpoints as kube-proxy would spread them; here an endpoint's port leads to its host. */
  function load() {
    let running = true
    let current: readonly string[] = []
    const counted = { ok: 0, failed: [] as string[], withoutEndpoint: 0 }
    const follower = (async () => {
      for (; running; await sleep(50)) current = await endpoints().catch(() => current)
    })()
    const clients = Array.from({ length: 4 }, async (_, client) => {
      for (let n = client; running; n++, await sleep(5)) {
        const endpoint = current[n % current.length]
        if (endpoint === undefined) {
          counted.withoutEndpoint += 1
          continue
        }
        const url = `http://127.0.0.1:${endpoint.split(':')[1]}`
        const answer = await httpCall(url, { host: `${component}.${team}` }).catch((error) => ({
          status: 0,
          text: String(error),
        }))
        if (answer.status === 200) counted.ok += 1
        else counted.failed.push(`${endpoint} ${answer.status} ${answer.text.trim().slice(0, 200)}`)
      }
    })
    return {
      counted,
      async end() {
        running = false
        await Promise.all([follower, ...clients])
        return counted
      },
    }
  }

  test('Services lead to the ingress of the rendered hosts; workloads, then the hosts themselves, are rolled under load; one is lost', async (t) => {
    let [one, two] = [await startPod(), await startPod()]
    await applyGeneration(0)
    let placed = await until('two replicas are Ready', bothReady)
    await until('the slices hold those hosts', async () => (await endpoints()).length > 0)
    for (const endpoint of await endpoints()) assert.ok(served(one, two).includes(endpoint), endpoint)
    const traffic = load()

    for (const generation of [1, 2]) {
      await applyGeneration(generation)
      const old = new Set(placed.map(({ metadata }) => metadata.uid))
      placed = await until('the new generation is Ready and the old one gone', async () => {
        const all = await workloads()
        return all.length === 2 && all.every((each) => isReady(each) && !old.has(each.metadata.uid)) && all
      })
    }
    t.diagnostic(`two updates of the workload: ${traffic.counted.ok} requests, ${traffic.counted.failed.length} failed`)
    assert.deepEqual(traffic.counted.failed, [])

    // A Deployment with maxSurge 1 and maxUnavailable 0: a new pod is ready, then an old one is deleted, and its process gets SIGTERM.
    for (const old of [one, two]) {
      const fresh = await startPod()
      await operator.kubernetes.kubectl('delete', 'pod', old.name, `--namespace=${operatorNamespace}`, '--wait=false')
      await old.host.server.stop()
      assert.deepEqual(old.host.server.exit(), { code: 0, signal: null })
      await until('its Host object is gone', async () => (await hostObject(old.name)) === undefined)
      await until('two replicas are Ready, none on the old host', bothReady)
      if (old === one) one = fresh
      else two = fresh
      t.diagnostic(`a host is replaced: ${traffic.counted.ok} requests, ${traffic.counted.failed.length} failed`)
    }
    await until('the slices hold the new hosts alone', async () => {
      const found = await endpoints()
      return found.length > 0 && found.every((endpoint) => served(one, two).includes(endpoint))
    })
    const { ok, failed, withoutEndpoint } = await traffic.end()
    t.diagnostic(`${ok} requests, ${failed.length} failed, ${withoutEndpoint} found no endpoint`)
    assert.deepEqual(failed, [])
    assert.ok(ok > 100)

    // A node is lost: nothing of the host is heard again, and its pod is deleted.
    const startMs = performance.now()
    await two.host.server.kill()
    await operator.kubernetes.kubectl('delete', 'pod', two.name, `--namespace=${operatorNamespace}`, '--wait=false')
    await until('two replicas are Ready, on the host that is left', async () => {
      const all = await bothReady()
      const { hostId } = (await hostObject(one.name)) ?? {}
      return all !== false && all.every(({ status }) => status?.hostId === hostId)
    })
    await until('the slices hold it alone', async () => (await endpoints()).join() === served(one).join())
    t.diagnostic(
      `a host lost, its pod deleted → both replicas and the endpoints elsewhere: ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
    )
    const answer = await httpCall(`http://127.0.0.1:${one.port}`, { host: `${component}.${team}.svc` })
    assert.equal(answer.status, 200, answer.text)
  })
})
