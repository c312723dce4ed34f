import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Capability } from '../../src/capabilities/capability.ts'
import type { Clock } from '../../src/clock/clock.ts'
import { defaultLimits } from '../../src/engine/default-limits.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { createHost, type HostOptions } from '../../src/host/host.ts'
import type { ComponentFacts } from '../../src/identity/component-facts.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'
import type { Workload } from '../../src/manifest/workload.ts'
import { createLog } from '../../src/observability/log.ts'
import { FakeEngine, fakeBinding } from './fake-engine.ts'

const signal = new AbortController().signal
const http = { exports: ['wasi:http/incoming-handler@0.2.3'] }
const withIdentity = { ...http, imports: ['wasi:io/streams@0.2.3', 'wasmcloud:identity/store@0.0.1'] }
const run = { exports: ['wasi:cli/run@0.2.0'] }
const httpEntry = (config = '{}', name = '') =>
  `{namespace: wasi, package: http, interfaces: [incoming-handler], config: ${config}${name === '' ? '' : `, name: ${name}`}}`
const identityEntry =
  '{namespace: wasmcloud, package: identity, interfaces: [store], version: 0.0.1, config: {audiences: "a, b"}}'

type Setup = Partial<Omit<HostOptions, 'engine' | 'ingress'>> & { components: Record<string, object> }

/** A host on a fake engine, and all that it did to its surroundings. */
async function setUp({ components, ...options }: Setup) {
  const engine = new FakeEngine()
  const routes = new Map<number, { hosts: readonly string[] | '*'; component: string }>()
  const configured: { facts: ComponentFacts; entries: readonly HostInterface[] }[] = []
  const held = new Set<number>()
  const sleeps: number[] = []
  const logged: Record<string, unknown>[] = []
  let next = 0
  const identity: Capability = {
    name: 'identity',
    interfaces: ['wasmcloud:identity/store@0.0.1'],
    waits: ['wasmcloud:identity/store#get'],
    start: async () => {},
    async configure(facts, entries) {
      configured.push({ facts, entries })
      const id = next++
      held.add(id)
      return fakeBinding(() => held.delete(id))
    },
    async [Symbol.asyncDispose]() {},
  }
  const clock: Clock = {
    nowMs: () => 0,
    async sleep(durationMs) {
      sleeps.push(durationMs)
    },
  }
  const host = await createHost(
    {
      id: 'host-1',
      engine,
      ingress: {
        route({ hosts, component }) {
          const id = next++
          routes.set(id, { hosts, component })
          return { [Symbol.dispose]: () => void routes.delete(id) }
        },
      },
      capabilities: [identity],
      lattice: 'default',
      environment: undefined,
      labels: { zone: 'z1' },
      images: {
        async fetch(image) {
          const name = image.reference.replace('file://', '')
          return { bytes: Buffer.from(JSON.stringify(components[name])), digest: `sha256:${'0'.repeat(63)}1` }
        },
      },
      log: createLog({ destination: { write: (line) => void logged.push(JSON.parse(line)) } }),
      clock,
      limits: defaultLimits,
      ...options,
    },
    { signal },
  )
  return { host, engine, routes, configured, held, sleeps, logged }
}

function workload(spec: string, { replicas = 1, name = 'hello', namespace = 'team' } = {}): Workload {
  const indented = spec.replaceAll('\n', '\n      ')
  const text = `apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: WorkloadDeployment\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec:\n  replicas: ${replicas}\n  template:\n    spec:\n      ${indented}\n`
  return parseManifest(text, { file: 'w.yaml', baseDirectory: '/', isFile: () => true }).workloads[0]!
}

const oneComponent = (...entries: string[]) =>
  `components: [{name: api, image: "file://api"}]\nhostInterfaces: [${entries.join(', ')}]`

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a workload is inspected, granted what it lists, started once per replica and routed', async () => {
  const { host, engine, routes, configured, held } = await setUp({ components: { api: withIdentity } })
  const handle = await host.deploy(
    workload(oneComponent(httpEntry('{host: A.example, host-aliases: "b.ns, b.ns.svc"}'), identityEntry), {
      replicas: 2,
    }),
    { signal, workloadId: 'uid-1' },
  )
  assert.equal(handle.state.kind, 'running')
  assert.equal(engine.cells.length, 2)
  assert.deepEqual([...routes.values()], Array(2).fill({ hosts: ['a.example', 'b.ns', 'b.ns.svc'], component: 'api' }))
  assert.deepEqual(configured[0]?.facts, {
    lattice: 'default',
    namespace: 'team',
    workloadName: 'hello',
    workloadId: 'uid-1',
    componentName: 'api',
    image: 'file://api',
    imageDigest: `sha256:${'0'.repeat(63)}1`,
    environment: undefined,
    hostLabels: { zone: 'z1' },
  })
  assert.deepEqual(
    configured[0]?.entries.map(({ config }) => config),
    [{ audiences: 'a, b' }],
  )
  const spec = engine.cells[0]?.spec.components[0]
  assert.deepEqual(spec?.capabilityInterfaces, ['wasmcloud:identity/store@0.0.1'])
  assert.deepEqual(spec?.allowedHosts, [])
  assert.deepEqual(spec?.environment, {})
  assert.equal(held.size, 2)

  await host.stop('uid-1', { drainTimeoutMs: 500 })
  await handle.stop()
  assert.deepEqual(await handle.ended, { kind: 'stopped', at: new Date(0) })
  assert.deepEqual(
    engine.cells.map(({ closed }) => closed),
    [[{ drainTimeoutMs: 500 }], [{ drainTimeoutMs: 500 }]],
  )
  assert.equal(routes.size + held.size, 0)
  assert.deepEqual(host.status(), [])
})

const refused: { title: string; components: Record<string, object>; spec: string; code: string }[] = [
  {
    title: 'an identity that is not listed',
    components: { api: withIdentity },
    spec: oneComponent(httpEntry()),
    code: 'ERR_WORKLOAD_IMPORT_DENIED',
  },
  {
    title: 'an identity listed with another version',
    components: { api: withIdentity },
    spec: oneComponent(identityEntry.replace('0.0.1', '0.0.2')),
    code: 'ERR_WORKLOAD_IMPORT_DENIED',
  },
  {
    title: 'an identity listed with another interface',
    components: { api: withIdentity },
    spec: oneComponent(identityEntry.replace('[store]', '[other]')),
    code: 'ERR_WORKLOAD_IMPORT_DENIED',
  },
  {
    title: 'a component without anything to start',
    components: { api: { exports: ['a:b/c'] } },
    spec: oneComponent(),
    code: 'ERR_WORKLOAD_NOTHING_TO_RUN',
  },
  {
    title: 'a component of WASI 0.3',
    components: { api: { exports: ['wasi:http/handler@0.3.0'] } },
    spec: oneComponent(),
    code: 'ERR_WORKLOAD_NOTHING_TO_RUN',
  },
  {
    title: 'a service that cannot run',
    components: { api: http, svc: http },
    spec: `${oneComponent()}\nservice: {image: "file://svc"}`,
    code: 'ERR_WORKLOAD_NOTHING_TO_RUN',
  },
  {
    title: 'two HTTP components that no entry tells apart',
    components: { api: http, other: http },
    spec: `components: [{name: api, image: "file://api"}, {name: other, image: "file://other"}]\nhostInterfaces: [${httpEntry('{host: a}')}]`,
    code: 'ERR_WORKLOAD_HTTP_AMBIGUOUS',
  },
  {
    title: 'a hostPath volume',
    components: { api: http },
    spec: `${oneComponent()}\nvolumes: [{name: v, hostPath: {path: /etc}}]`,
    code: 'ERR_WORKLOAD_VOLUME',
  },
  {
    title: 'another environment',
    components: { api: http },
    spec: `${oneComponent()}\nenvironment: prod`,
    code: 'ERR_WORKLOAD_NOT_PLACED_HERE',
  },
  {
    title: 'other labels',
    components: { api: http },
    spec: `${oneComponent()}\nhostSelector: {zone: z2}`,
    code: 'ERR_WORKLOAD_NOT_PLACED_HERE',
  },
  {
    title: 'another host',
    components: { api: http },
    spec: `${oneComponent()}\nhostId: host-2`,
    code: 'ERR_WORKLOAD_NOT_PLACED_HERE',
  },
]
for (const { title, components, spec, code } of refused) {
  test(`a host refuses ${title}, and keeps nothing of it`, async () => {
    const { host, engine, routes, held } = await setUp({ components })
    await assert.rejects(
      host.deploy(workload(spec), { signal }),
      (error) => isHeraldError(error) && error.code === code,
    )
    assert.equal(routes.size + held.size + engine.cells.filter(({ state }) => state.kind !== 'stopped').length, 0)
  })
}

test('when a second replica fails to start, the first one and all bindings are released, and the workload stays listed as failed', async () => {
  const { host, engine, held, routes } = await setUp({ components: { api: withIdentity } })
  engine.failStartAfter = { cells: 1, error: new Error('no memory') }
  await assert.rejects(
    host.deploy(workload(oneComponent(httpEntry(), identityEntry), { replicas: 2 }), { signal, workloadId: 'x' }),
    { code: 'ERR_INTERNAL', message: 'workload hello could not be started: no memory' },
  )
  assert.deepEqual(
    engine.cells.map(({ state }) => state.kind),
    ['stopped'],
  )
  assert.equal(held.size + routes.size, 0)
  assert.equal(host.status()[0]?.state.kind, 'failed')
  await host.stop('x')
  assert.deepEqual(host.status(), [])
})

test('a second deploy under one id is refused, and so is any deploy once the host drains', async () => {
  const { host } = await setUp({ components: { api: http } })
  await host.deploy(workload(oneComponent()), { signal, workloadId: 'x' })
  await assert.rejects(host.deploy(workload(oneComponent()), { signal, workloadId: 'x' }), {
    code: 'ERR_WORKLOAD_EXISTS',
  })
  await assert.rejects(host.stop('y'), { code: 'ERR_WORKLOAD_NOT_FOUND' })
  await host.drain({ drainTimeoutMs: 10 })
  await host.drain()
  await assert.rejects(host.deploy(workload(oneComponent()), { signal }), { code: 'ERR_HOST_DRAINING' })
})

test('an HTTP host belongs to one namespace; within it, workloads may share it', async () => {
  const { host, routes } = await setUp({ components: { api: http } })
  const spec = oneComponent(httpEntry('{host: a.example}'))
  await host.deploy(workload(spec), { signal })
  await host.deploy(workload(spec, { name: 'next' }), { signal })
  await assert.rejects(host.deploy(workload(spec, { namespace: 'other' }), { signal }), {
    code: 'ERR_WORKLOAD_HTTP_HOST_TAKEN',
  })
  assert.equal(routes.size, 2)
  await host.drain()
  assert.equal(routes.size, 0)
})

test('two HTTP components are told apart by the name of their entries', async () => {
  const { host, routes } = await setUp({ components: { api: http, other: http } })
  await host.deploy(
    workload(
      `components: [{name: api, image: "file://api"}, {name: other, image: "file://other"}]\nhostInterfaces: [${httpEntry('{host: a}', 'api')}, ${httpEntry('{host: b}', 'other')}]`,
    ),
    { signal },
  )
  assert.deepEqual(
    [...routes.values()],
    [
      { hosts: ['a'], component: 'api' },
      { hosts: ['b'], component: 'other' },
    ],
  )
})

test('an HTTP component without a wasi:http entry answers nobody, and that is said', async () => {
  const { host, routes, logged } = await setUp({ components: { api: http } })
  await host.deploy(workload(oneComponent()), { signal })
  assert.equal(routes.size, 0)
  assert.ok(logged.some(({ event, msg }) => event === 'workload.warning' && String(msg).includes('answers nobody')))
})

for (const [exitCode, kind] of [
  [0, 'completed'],
  [3, 'failed'],
] as const) {
  test(`a workload that only runs to completion is ${kind} after exit code ${exitCode}`, async () => {
    const { host, engine } = await setUp({ components: { api: run } })
    const handle = await host.deploy(workload(oneComponent()), { signal })
    assert.equal(handle.state.kind, 'running')
    engine.cells[0]?.runs[0]?.end(exitCode)
    const end = await handle.ended
    assert.equal(end.kind, kind)
    if (end.kind === 'failed') assert.equal(end.error.code, 'ERR_WORKLOAD_EXITED')
    assert.deepEqual(handle.status().exitCodes, { api: exitCode })
    assert.equal(engine.cells[0]?.state.kind, 'stopped')
  })
}

test('a service is started again up to maxRestarts times, ever later, and then the workload fails', async () => {
  const { host, engine, sleeps } = await setUp({ components: { api: http, svc: run } })
  const handle = await host.deploy(
    workload(`${oneComponent(httpEntry())}\nservice: {image: "file://svc", maxRestarts: 2}`),
    { signal },
  )
  const cell = engine.cells[0]
  assert.ok(cell)
  cell.runs[0]?.end(0)
  await settled()
  cell.runs[1]?.crash(new Error('trap'))
  await settled()
  assert.equal(handle.state.kind, 'running')
  cell.runs[2]?.end(1)
  const end = await handle.ended
  assert.equal(
    end.kind === 'failed' && end.error.message,
    'the service of hello ended with exit code 1, after 2 restarts',
  )
  assert.deepEqual(sleeps, [1_000, 2_000])
  assert.equal(cell.state.kind, 'stopped')
})

test('a workload fails once its last cell has failed, not before', async () => {
  const { host, engine, routes } = await setUp({ components: { api: http } })
  const handle = await host.deploy(workload(oneComponent(httpEntry()), { replicas: 2 }), { signal })
  engine.cells[0]?.enter({ kind: 'failed', reason: 'restarted too often' })
  assert.equal(handle.state.kind, 'running')
  engine.cells[1]?.enter({ kind: 'failed', reason: 'restarted too often' })
  const end = await handle.ended
  assert.equal(end.kind === 'failed' && end.error.code, 'ERR_WORKLOAD_CELL_FAILED')
  assert.equal(routes.size, 0)
})

test('a start that is aborted releases what it had, and the workload is stopped, not failed', async () => {
  const abort = new AbortController()
  const { host, engine } = await setUp({ components: { api: http } })
  const deploying = host.deploy(workload(oneComponent(httpEntry())), { signal: abort.signal, workloadId: 'x' })
  abort.abort(new Error('enough'))
  await assert.rejects(deploying, { message: 'enough' })
  assert.equal(host.status()[0]?.state.kind, 'stopped')
  assert.ok(engine.cells.every(({ state }) => state.kind === 'stopped'))
})

test('stopping a workload that is starting ends the start', async () => {
  const { host } = await setUp({ components: { api: http } })
  const deploying = host.deploy(workload(oneComponent(httpEntry())), { signal, workloadId: 'x' })
  const [result] = await Promise.allSettled([deploying, host.stop('x')])
  assert.equal(result.status, 'rejected')
  assert.deepEqual(host.status(), [])
})

test('what a guest prints becomes one log record with its component', async () => {
  const { host, engine, logged } = await setUp({ components: { api: http } })
  await host.deploy(workload(oneComponent(httpEntry())), { signal })
  engine.cells[0]?.print('api', 'hello')
  assert.deepEqual(
    logged
      .filter(({ event }) => event === 'component.output')
      .map(({ component, stream, msg }) => [component, stream, msg]),
    [['api', 'stdout', 'hello']],
  )
})

const directory = await mkdtemp(join(tmpdir(), 'herald-host-'))
after(() => rm(directory, { recursive: true }))

test('an ephemeral volume is a directory of its own for each replica, and goes with it', async () => {
  const { host, engine } = await setUp({ components: { api: http } })
  const handle = await host.deploy(
    workload(
      'components: [{name: api, image: "file://api", localResources: {volumeMounts: [{name: v, mountPath: /d, readOnly: true}]}}]\nvolumes: [{name: v, ephemeral: {}}]',
      { replicas: 2 },
    ),
    { signal },
  )
  const preopens = engine.cells.map(({ spec }) => spec.components[0]?.preopens[0])
  assert.deepEqual(
    preopens.map((preopen) => [preopen?.guestPath, preopen?.readOnly, existsSync(preopen?.hostPath ?? '')]),
    [
      ['/d', true, true],
      ['/d', true, true],
    ],
  )
  assert.notEqual(preopens[0]?.hostPath, preopens[1]?.hostPath)
  await handle.stop()
  assert.ok(preopens.every((preopen) => !existsSync(preopen?.hostPath ?? '')))
})

test('a hostPath volume stands under an allowed directory, and no symbolic link leads out of it', async () => {
  const allowed = join(directory, 'allowed')
  await mkdir(join(allowed, 'data'), { recursive: true })
  await mkdir(join(directory, 'allowed-not'))
  await symlink(directory, join(allowed, 'out'))
  const { host, engine } = await setUp({ components: { api: http }, allowedHostPaths: [allowed] })
  const mount = (path: string) =>
    host.deploy(
      workload(
        `components: [{name: api, image: "file://api", localResources: {volumeMounts: [{name: v, mountPath: /d}]}}]\nvolumes: [{name: v, hostPath: {path: ${path}}}]`,
      ),
      { signal },
    )
  await mount(join(allowed, 'data'))
  assert.deepEqual(engine.cells[0]?.spec.components[0]?.preopens, [
    { hostPath: join(allowed, 'data'), guestPath: '/d', readOnly: false },
  ])
  for (const path of [
    join(allowed, 'out'),
    join(directory, 'allowed-not'),
    join(allowed, '..'),
    join(allowed, 'none'),
  ]) {
    await assert.rejects(mount(path), { code: 'ERR_WORKLOAD_VOLUME' }, path)
  }
})

for (const { what, entry, expected } of [
  { what: 'as the host says', entry: undefined, expected: 300_000 },
  { what: 'as its herald:cell entry says', entry: '{idle-timeout: 20s}', expected: 20_000 },
  { what: 'never, when its entry says so', entry: '{idle-timeout: never}', expected: Number.POSITIVE_INFINITY },
]) {
  test(`a workload without requests gives its thread back ${what}`, async () => {
    const { host, engine } = await setUp({ components: { api: http } })
    const more =
      entry === undefined ? [] : [`{namespace: herald, package: cell, interfaces: [settings], config: ${entry}}`]
    await host.deploy(workload(oneComponent(httpEntry(), ...more)), { signal })
    assert.equal(engine.cells[0]?.spec.idleTimeoutMs, expected)
  })
}

for (const { host: ofHost, entry, expected } of [
  { host: undefined, entry: undefined, expected: 'thread' },
  { host: undefined, entry: 'process', expected: 'process' },
  { host: 'process', entry: undefined, expected: 'process' },
  { host: 'process', entry: 'thread', expected: 'process' },
  { host: 'thread', entry: 'process', expected: 'process' },
] as const) {
  test(`cells are a ${expected} when the host says ${ofHost} and the workload ${entry}`, async () => {
    const { host, engine } = await setUp({ components: { api: http }, ...(ofHost && { isolation: ofHost }) })
    const more = entry
      ? [`{namespace: herald, package: cell, interfaces: [settings], config: {isolation: ${entry}}}`]
      : []
    await host.deploy(workload(oneComponent(httpEntry(), ...more)), { signal })
    assert.equal(engine.cells[0]?.spec.isolation, expected)
    assert.equal(host.status()[0]?.isolation, expected)
  })
}

test('a workload with a service keeps its thread', async () => {
  const { host, engine } = await setUp({ components: { api: http, service: run } })
  await host.deploy(workload(`${oneComponent(httpEntry())}\nservice: {image: "file://service"}`), { signal })
  assert.equal(engine.cells[0]?.spec.idleTimeoutMs, undefined)
})

for (const { what, wanted, onWire, expected } of [
  { what: 'less than the host gives', wanted: '64Mi', onWire: undefined, expected: 64 },
  { what: 'more than the host gives', wanted: '4096Mi', onWire: undefined, expected: defaultLimits.memoryLimitMb },
  { what: 'less by upstream’s protocol', wanted: '64Mi', onWire: 32, expected: 32 },
]) {
  test(`a workload that asks for ${what} has its memory capped at the least of all`, async () => {
    const { host, engine } = await setUp({ components: { api: http } })
    const entry = `{namespace: herald, package: cell, interfaces: [settings], config: {memory-limit: ${wanted}}}`
    const parsed = workload(oneComponent(httpEntry(), entry))
    const components = parsed.components.map((each) => ({
      ...each,
      resources: { ...each.resources, ...(onWire !== undefined && { memoryLimitMb: onWire }) },
    }))
    await host.deploy({ ...parsed, components }, { signal })
    assert.equal(engine.cells[0]?.spec.components[0]?.limits.memoryLimitMb, expected)
  })
}

for (const { what, host: hostMillicores, wanted, onWire, expected } of [
  { what: 'nothing', host: undefined, wanted: undefined, onWire: [undefined, undefined], expected: undefined },
  { what: 'less than the host gives', host: 500, wanted: '200m', onWire: [undefined, undefined], expected: 200 },
  { what: 'more than the host gives', host: 500, wanted: '900m', onWire: [undefined, undefined], expected: 500 },
  { what: 'less for all its components together', host: 500, wanted: '400m', onWire: [100, 50], expected: 150 },
  { what: 'less for one of its components only', host: 500, wanted: '400m', onWire: [100, undefined], expected: 400 },
  { what: 'less than a cell can do with', host: undefined, wanted: undefined, onWire: [1, 2], expected: 10 },
] as const) {
  test(`a workload that asks for ${what} of a processor is held to the least of all`, async () => {
    const { host, engine } = await setUp({
      components: { api: http, other: run },
      ...(hostMillicores !== undefined && { cpuLimitMillicores: hostMillicores }),
    })
    const entry = `{namespace: herald, package: cell, interfaces: [settings], config: {cpu-limit: ${wanted}}}`
    const parsed = workload(
      `components: [{name: api, image: "file://api"}, {name: other, image: "file://other"}]\nhostInterfaces: [${[httpEntry(), ...(wanted === undefined ? [] : [entry])].join(', ')}]`,
    )
    const components = parsed.components.map((each, index) => ({
      ...each,
      resources: { ...each.resources, ...(onWire[index] && { cpuLimitMillicores: onWire[index] }) },
    }))
    await host.deploy({ ...parsed, components }, { signal })
    assert.equal(engine.cells[0]?.spec.cpuLimitMillicores, expected)
  })
}
