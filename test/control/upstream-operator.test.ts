import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { buildComponents } from '../../scripts/build-components.ts'
import { signal, testClient } from '../oci/oci-test-setup.ts'
import { httpCall } from '../support/http-call.ts'
import { startLog } from '../support/log.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { type Registry, startRegistry } from '../support/registry.ts'
import { scanForTokens } from '../support/scan-for-tokens.ts'
import { type ServerProcess, startServerProcess } from '../support/server-process.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import {
  conditionOf,
  group,
  operatorNamespace,
  type Stored,
  startUpstreamOperator,
  type UpstreamOperator,
} from './upstream-operator.ts'

/** The operator is not part of this repository, and no package registry has it: whoever has built it says where it is. */
const { HERALD_OPERATOR_BIN: program, HERALD_OPERATOR_CRDS: crds } = process.env
const skip =
  program === undefined || crds === undefined
    ? "NOT RUN: upstream's real operator. Build runtime-operator/cmd of wasmCloud 2.7 and set HERALD_OPERATOR_BIN to it and HERALD_OPERATOR_CRDS to its config/crd/bases"
    : false
if (skip !== false) console.log(`### ${skip}`)

const team = 'team-a'
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

type Host = AsyncDisposable & {
  readonly id: string
  readonly name: string
  /** What the operator takes for the pod's IP. */
  readonly address: string
  readonly url: string
  readonly process: ServerProcess
}

suite("Upstream's real operator 2.7", { skip, timeout: 900_000 }, () => {
  const cleanup = new AsyncDisposableStack()
  let nats: Nats
  let registry: Registry
  let spire: Spire
  let operator: UpstreamOperator
  let hosts = 0
  const directory = temporaryDirectory()

  before(async () => {
    const components = await buildComponents(['hello-c', 'api-gateway'])
    cleanup.use(directory)
    nats = cleanup.use(await startNats())
    registry = cleanup.use(await startRegistry())
    spire = cleanup.use(await startSpire())
    operator = cleanup.use(await startUpstreamOperator(program!, crds!, nats.url))
    await operator.kubernetes.createNamespace(team, 'restricted')
    const client = await testClient()
    for (const [name, path] of components)
      await client.push(`${registry.host}/demo/${name}:1`, readFileSync(path), { signal: signal() })
  })
  after(() => cleanup.disposeAsync())

  /** `herald host --nats` as a process, ready for the operator: its Host object says so. */
  async function startHost(hostgroup: string, ...more: readonly string[]): Promise<Host> {
    const id = randomUUID()
    const name = `herald-${id.slice(0, 8)}`
    const address = `10.20.0.${++hosts}`
    const log = startLog(name)
    const readyLine = () =>
      log
        .text()
        .split('\n')
        .find((line) => line.startsWith('{"event":"ready"'))
    const server = await startServerProcess({
      name: 'herald host',
      program: process.execPath,
      args: [
        ...['--disable-warning=ExperimentalWarning', main, 'host', '--output', 'json', '--http', '127.0.0.1:0'],
        ...['--nats', nats.url, '--host-id', id, '--friendly-name', name, '--hostname', address],
        ...['--hostgroup', hostgroup, '--spire-admin-socket', spire.adminSocketPath],
        ...['--image-cache', join(directory.path, 'images'), ...more],
      ],
      log,
      isReady: async () => readyLine() !== undefined && conditionOf(await hostObject(name), 'Ready') === 'True',
    })
    const url = String(JSON.parse(readyLine()!).http)
    return { id, name, address, url, process: server, [Symbol.asyncDispose]: () => server.kill() }
  }

  const hostObject = (name: string) => operator.get(`${group}/namespaces/${operatorNamespace}/hosts/${name}`)
  const workloadsOf = async (name: string) =>
    (await operator.list(`${group}/namespaces/${team}/workloads`)).filter(({ metadata }) =>
      metadata.name.startsWith(`${name}-`),
    )
  const isReady = (object: Stored) =>
    object.metadata.deletionTimestamp === undefined && conditionOf(object, 'Ready') === 'True'

  async function until<T>(what: string, look: () => Promise<T | false | undefined>, timeoutMs = 60_000): Promise<T> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const found = await look()
      if (found !== false && found !== undefined) return found
      if (performance.now() > deadline) {
        const state = await operator.kubernetes.tryKubectl(
          'get',
          'hosts,workloaddeployments,workloadreplicasets,workloads',
          '-A',
        )
        assert.fail(`${what}: not within ${timeoutMs / 1000} s\n${state.output}`)
      }
      await sleep(50)
    }
  }

  const readyReplicas = (name: string, count: number) => async () => {
    const all = await workloadsOf(name)
    return all.length === count && all.every(isReady) && all
  }

  function deployment(
    name: string,
    { hostgroup = name, image = 'hello-c', replicas = 1, environment = {}, audiences = '', service = false } = {},
  ): object {
    const http = {
      namespace: 'wasi',
      package: 'http',
      interfaces: ['incoming-handler'],
      config: { host: `${name}.test` },
    }
    const store = {
      namespace: 'wasmcloud',
      package: 'identity',
      interfaces: ['store'],
      version: '0.0.1',
      config: { audiences },
    }
    return {
      apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
      kind: 'WorkloadDeployment',
      metadata: { name, namespace: team },
      spec: {
        replicas,
        ...(service && { kubernetes: { service: { name } } }),
        template: {
          spec: {
            hostSelector: { hostgroup },
            components: [
              {
                name,
                image: `${registry.host}/demo/${image}:1`,
                poolSize: 2,
                localResources: { environment: { config: environment } },
              },
            ],
            hostInterfaces: audiences === '' ? [http] : [http, store],
          },
        },
      },
    }
  }
  const service = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: team },
    spec: { ports: [{ name: 'http', port: 80 }] },
  })
  const endpointsOf = async (name: string): Promise<readonly string[]> =>
    (
      await operator.list(
        `/apis/discovery.k8s.io/v1/namespaces/${team}/endpointslices?labelSelector=kubernetes.io/service-name=${name}`,
      )
    ).flatMap(({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses))
  type Load = { ok: number; readonly failed: { atMs: number; why: string }[]; end(): Promise<void> }

  /** Six clients that call the Service of a deployment, one request after another. */
  function loadService(name: string, hosts: readonly Host[]): Load {
    const urls = new Map(hosts.map(({ address, url }) => [address, url]))
    let endpoints: readonly string[] = []
    let running = true
    // What kube-proxy does: it learns of endpoints when they change, a moment later.
    const follower = (async () => {
      for (; running; await sleep(50)) endpoints = await endpointsOf(name).catch(() => endpoints)
    })()
    const clients = Array.from({ length: 6 }, async (_, client) => {
      await until('endpoints', async () => endpoints.length > 0)
      for (let n = client; running; n++) {
        const address = endpoints[n % endpoints.length]
        const answer = await (address === undefined
          ? Promise.resolve({ status: 0, text: 'no endpoint' })
          : httpCall(urls.get(address)!, { host: `${name}.test` }).catch((error) => ({
              status: 0,
              text: String(error),
            })))
        if (answer.status === 200) load.ok += 1
        else load.failed.push({ atMs: performance.now(), why: `${answer.status} ${answer.text.trim()}` })
        await sleep(2)
      }
    })
    const load: Load = {
      ok: 0,
      failed: [],
      async end() {
        running = false
        await Promise.all([follower, ...clients])
      },
    }
    return load
  }

  /** A pod of a host, as the operator's fast path wants it: with its label, and the IP that the host has as its hostname. */
  async function createPod({ name, address }: Host): Promise<{ delete(): Promise<string> }> {
    const container = {
      name: 'host',
      image: 'example.org/herald:1',
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    }
    await operator.kubernetes.apply([
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: operatorNamespace, labels: { 'wasmcloud.com/hostgroup': 'any' } },
        spec: {
          securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [container],
        },
      },
    ])
    const path = `/api/v1/namespaces/${operatorNamespace}/pods/${name}`
    await operator.patchStatus(path, { podIP: address, podIPs: [{ ip: address }] })
    await until('the operator has put its finalizer on the pod', async () => {
      const { finalizers = [] } = (await operator.get(path))?.metadata ?? {}
      return finalizers.length > 0
    })
    return {
      delete: () =>
        operator.kubernetes.kubectl('delete', 'pod', name, `--namespace=${operatorNamespace}`, '--wait=false'),
    }
  }

  const remove = (name: string) =>
    operator.kubernetes.kubectl('delete', 'workloaddeployment', name, `--namespace=${team}`)
  const since = (startMs: number) => `${((performance.now() - startMs) / 1000).toFixed(1)} s`

  test('kubectl apply places a workload on Herald; its component gets its token; it is scaled to 2 and deleted', async (t) => {
    await using one = await startHost('gateway')
    await using two = await startHost('gateway')
    const spiffeId = 'spiffe://example.org/default/gateway'
    await spire.createEntry({
      spiffeId,
      selectors: [
        'wasmcloud:component:gateway',
        `wasmcloud:namespace:${team}`,
        'wasmcloud:host-label:hostgroup:gateway',
      ],
    })
    const object = await hostObject(one.name)
    assert.deepEqual(
      [object?.hostId, object?.hostname, object?.metadata.labels],
      [one.id, one.address, { hostgroup: 'gateway' }],
    )

    let startMs = performance.now()
    const audience = 'sts.amazonaws.com'
    await operator.kubernetes.apply([
      service('gateway'),
      deployment('gateway', { image: 'api-gateway', audiences: audience, service: true }),
    ])
    const [placed] = await until('the workload is Ready', readyReplicas('gateway', 1))
    t.diagnostic(
      `kubectl apply → Workload Ready: ${since(startMs)}, pull and compile of 12 MB of JavaScript component included`,
    )
    await until('the deployment is Ready', async () =>
      isReady((await operator.get(`${group}/namespaces/${team}/workloaddeployments/gateway`))!),
    )
    t.diagnostic(`kubectl apply → WorkloadDeployment Ready: ${since(startMs)}`)
    const host = [one, two].find(({ id }) => id === placed?.status?.hostId)!
    const other = host === one ? two : one
    assert.deepEqual(
      await until('endpoints', async () => (await endpointsOf('gateway')).length > 0 && endpointsOf('gateway')),
      [host.address],
    )

    for (const name of ['gateway.test', `gateway.${team}`, `gateway.${team}.svc:80`]) {
      const answer = await httpCall(`${host.url}/api/v1/token`, { method: 'POST', host: name })
      assert.equal(answer.status, 200, answer.text)
      const { issuer, jwks_uri } = (await (await fetch(spire.discoveryUrl)).json()) as Record<string, string>
      const keys = createRemoteJWKSet(new URL(jwks_uri!))
      await jwtVerify(answer.json().token, keys, { issuer: issuer!, audience, subject: spiffeId })
    }
    assert.equal((await httpCall(other.url, { host: 'gateway.test' })).status, 404)

    startMs = performance.now()
    await operator.kubernetes.kubectl('scale', 'workloaddeployment', 'gateway', '--replicas=2', `--namespace=${team}`)
    const both = await until('two replicas are Ready', readyReplicas('gateway', 2))
    t.diagnostic(
      `scale to 2 → both Ready: ${since(startMs)}, on ${new Set(both.map(({ status }) => status?.hostId)).size} of 2 hosts (upstream's choice is random)`,
    )
    for (const { status } of both) {
      const { url } = [one, two].find(({ id }) => id === status?.hostId)!
      assert.equal((await httpCall(`${url}/api/v1/token`, { method: 'POST', host: 'gateway.test' })).status, 200)
    }

    startMs = performance.now()
    await remove('gateway')
    await until('no workload is left', async () => (await workloadsOf('gateway')).length === 0)
    t.diagnostic(`kubectl delete → all workloads gone: ${since(startMs)}`)
    for (const { url } of [one, two]) {
      await until('it is served no more', async () => (await httpCall(url, { host: 'gateway.test' })).status === 404)
    }
    assert.deepEqual(await endpointsOf('gateway'), [])
    for (const { process } of [one, two]) assert.deepEqual(scanForTokens(process.log.text()), [])
  })

  test('a workload that cannot start is not Ready, the reason is in the log of the host, and it is tried again', async (t) => {
    await using host = await startHost('broken')
    await operator.kubernetes.apply([deployment('broken', { image: 'absent' })])
    const startMs = performance.now()
    const [placed] = await until('the operator has placed it', async () => {
      const all = await workloadsOf('broken')
      return all.some(({ status }) => status?.workloadId !== undefined) && all
    })
    await until('its Sync is False', async () => {
      const [workload] = await workloadsOf('broken')
      return conditionOf(workload, 'Sync') === 'False'
    })
    assert.match(host.process.log.text(), /ERR_OCI_NOT_FOUND/)
    await until(
      'another workload has taken its place',
      async () => (await workloadsOf('broken')).some(({ metadata }) => metadata.uid !== placed?.metadata.uid),
      150_000,
    )
    t.diagnostic(`a workload that cannot start is replaced by a new try after ${since(startMs)}`)
    await remove('broken')
    await until('no workload is left', async () => (await workloadsOf('broken')).length === 0)
  })

  test('a rolling update under load loses no request that goes to the endpoints of the Service', async (t) => {
    await using one = await startHost('rolling')
    await using two = await startHost('rolling')
    const apply = (generation: number) =>
      operator.kubernetes.apply([
        service('rolling'),
        deployment('rolling', { replicas: 2, service: true, environment: { GENERATION: String(generation) } }),
      ])
    await apply(0)
    let before = await until('two replicas are Ready', readyReplicas('rolling', 2))
    await until('endpoints', async () => (await endpointsOf('rolling')).length > 0)
    const load = loadService('rolling', [one, two])
    for (let generation = 1; generation <= 4; generation++) {
      const updateMs = performance.now()
      const [okBefore, failedBefore] = [load.ok, load.failed.length]
      await apply(generation)
      const old = new Set(before.map(({ metadata }) => metadata.uid))
      before = await until('the new generation is Ready and the old one gone', async () => {
        const all = await workloadsOf('rolling')
        return all.length === 2 && all.every((each) => isReady(each) && !old.has(each.metadata.uid)) && all
      })
      const placed = before.map(({ status }) => (status?.hostId === one.id ? 'one' : 'two')).join('+')
      t.diagnostic(
        `update ${generation}: ${since(updateMs)}, ${load.ok - okBefore} requests, ${load.failed.length - failedBefore} failed; now on ${placed}`,
      )
    }
    await sleep(1_000)
    await load.end()
    t.diagnostic(`rolling updates: ${load.ok} requests, ${load.failed.length} failed`)
    await remove('rolling')
    assert.deepEqual(load.failed, [])
  })

  test('a host is killed with -9: its workload runs elsewhere once the operator has missed it, at once when its pod is deleted', async (t) => {
    await using one = await startHost('lost')
    await using two = await startHost('lost')
    await operator.kubernetes.apply([deployment('lost')])
    const [first] = await until('the workload is Ready', readyReplicas('lost', 1))
    const doomed = first?.status?.hostId === one.id ? one : two
    const spare = doomed === one ? two : one
    await doomed.process.kill()
    const killedMs = performance.now()
    await until(
      'the Host does not report',
      async () => conditionOf(await hostObject(doomed.name), 'Reporting') === 'False',
      90_000,
    )
    t.diagnostic(`kill -9 → Host Reporting=False: ${since(killedMs)}`)
    await until('the Host is deleted', async () => (await hostObject(doomed.name)) === undefined, 180_000)
    t.diagnostic(`kill -9 → Host deleted: ${since(killedMs)}`)
    await until('a new workload is Ready', readyReplicas('lost', 1), 120_000)
    t.diagnostic(`kill -9 → Workload Ready elsewhere: ${since(killedMs)}`)
    assert.equal((await httpCall(spare.url, { host: 'lost.test' })).status, 200)

    // The fast path: the operator puts a finalizer on pods with its label, and goes by their IP.
    await using third = await startHost('lost')
    const pod = await createPod(spare)
    await spare.process.kill()
    const deletedMs = performance.now()
    await pod.delete()
    await until('the Host is deleted', async () => (await hostObject(spare.name)) === undefined)
    t.diagnostic(`pod deleted → Host deleted: ${since(deletedMs)}`)
    await until('a new workload is Ready', async () => {
      const all = await workloadsOf('lost')
      return all.some((each) => isReady(each) && each.status?.hostId === third.id)
    })
    t.diagnostic(`pod deleted → Workload Ready elsewhere: ${since(deletedMs)}`)
    assert.equal((await httpCall(third.url, { host: 'lost.test' })).status, 200)
    await remove('lost')
    await until('no workload is left', async () => (await workloadsOf('lost')).length === 0, 90_000)
  })

  test('a pod with a host is deleted under load: its workloads move, its Host object stays away, it ends with 0', async (t) => {
    const drainDelay = ['--drain-delay', '5s']
    await using one = await startHost('moved', ...drainDelay)
    const pod = await createPod(one)
    await operator.kubernetes.apply([service('moved'), deployment('moved', { replicas: 2, service: true })])
    await until('two replicas are Ready', readyReplicas('moved', 2))
    await until('endpoints', async () => (await endpointsOf('moved')).length > 0)
    await using two = await startHost('moved', ...drainDelay)
    const load = loadService('moved', [one, two])
    await sleep(1_000)
    const startMs = performance.now()
    const sinceMs = () => Math.round(performance.now() - startMs)
    // What the kubelet does without a preStop hook: SIGTERM as soon as the pod is to go.
    await pod.delete()
    const ended = one.process.stop()
    await until('the Host is deleted', async () => (await hostObject(one.name)) === undefined)
    t.diagnostic(`pod deleted → Host deleted: ${sinceMs()} ms`)
    await until('both replicas are elsewhere', async () => {
      const all = await workloadsOf('moved')
      return all.length === 2 && all.every((each) => isReady(each) && each.status?.hostId === two.id)
    })
    t.diagnostic(`pod deleted → both workloads Ready elsewhere: ${sinceMs()} ms`)
    await ended
    assert.deepEqual(one.process.exit(), { code: 0, signal: null })
    t.diagnostic(`pod deleted → the host has ended with 0: ${sinceMs()} ms`)
    // A heartbeat, every 15 s, would bring it back.
    await sleep(Math.max(0, 17_000 - sinceMs()))
    assert.equal(await hostObject(one.name), undefined)
    await load.end()
    const gapMs = load.failed.length === 0 ? 0 : Math.round(load.failed.at(-1)!.atMs - load.failed[0]!.atMs)
    t.diagnostic(
      `${load.ok} requests, ${load.failed.length} failed within ${gapMs} ms: ${[...new Set(load.failed.map(({ why }) => why))]}`,
    )
    // All replicas were on the host that went, and upstream starts others only when they are gone: until then there is no endpoint.
    assert.deepEqual(
      load.failed.filter(({ why }) => why !== '0 no endpoint'),
      [],
    )
    await remove('moved')
  })

  test('a host that was ended by SIGTERM holds up nothing: its workload can be deleted', async (t) => {
    await using one = await startHost('ended')
    await operator.kubernetes.apply([deployment('ended')])
    await until('the workload is Ready', readyReplicas('ended', 1))
    const startMs = performance.now()
    await one.process.stop()
    assert.deepEqual(one.process.exit(), { code: 0, signal: null })
    t.diagnostic(`SIGTERM → exit 0: ${since(startMs)}`)
    await remove('ended')
    await until('no workload is left', async () => (await workloadsOf('ended')).length === 0, 90_000)
    t.diagnostic(`its workload is deleted although its host is gone: ${since(startMs)}`)
  })
})
