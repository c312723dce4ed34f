import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { InventoriedHost } from '../../src/control/herald-requests.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { startNats } from '../support/nats.ts'
import { testHost } from './control-test-setup.ts'
import { createHostStandIn } from './host-stand-in.ts'
import { startOperatorDriver, wireWorkload } from './operator-driver.ts'

type WireHeraldHost = { readonly url?: string; readonly heartbeat?: { readonly id: string } }

const nats = await startNats()
const operator = await startOperatorDriver(nats.url)
after(async () => {
  await operator[Symbol.asyncDispose]()
  await nats[Symbol.asyncDispose]()
})

test('a host announces itself at once and again and again, and answers for its heartbeat', async () => {
  await using host = await testHost(nats.url, createHostStandIn(), {
    heartbeatIntervalMs: 100,
    identity: { environment: 'team-a' },
  })
  await until('three heartbeats came', () => (operator.heartbeats.get(host.hostId)?.length ?? 0) >= 3)
  const asked = await operator.heartbeat(host.hostId)
  for (const heartbeat of [asked, operator.heartbeats.get(host.hostId)![0]!.heartbeat]) {
    assert.equal(heartbeat.id, host.hostId)
    assert.equal(heartbeat.friendlyName, host.identity.friendlyName)
    assert.deepEqual(heartbeat.labels, { hostgroup: 'default' })
    assert.equal(heartbeat.environment, 'team-a')
    assert.equal(heartbeat.httpPort, 8000)
    assert.ok(heartbeat.systemCpuUsage >= 0 && heartbeat.systemCpuUsage <= 100)
    assert.ok(
      BigInt(heartbeat.systemMemoryFree) > 0n &&
        BigInt(heartbeat.systemMemoryFree) <= BigInt(heartbeat.systemMemoryTotal),
    )
    assert.deepEqual(
      heartbeat.imports.map((each) => [each.namespace, each.package, each.version, each.interfaces]),
      [
        ['wasi', 'http', '0.2.3', ['outgoing-handler', 'types']],
        ['wasmcloud', 'identity', '0.0.1', ['store']],
      ],
    )
  }
})

test('a workload is placed, counted, stopped and forgotten', async () => {
  await using host = await testHost(nats.url, createHostStandIn())
  assert.equal((await operator.status(host.hostId, 'uid-1')).workloadState, 'WORKLOAD_STATE_NOT_FOUND')
  assert.equal(
    (await operator.place(host.hostId, 'uid-1', wireWorkload('hello', { components: 2 }))).workloadState,
    'WORKLOAD_STATE_RUNNING',
  )
  const { workloadCount, componentCount } = await operator.heartbeat(host.hostId)
  assert.deepEqual([workloadCount, componentCount], ['1', '2'])
  assert.equal((await operator.stop(host.hostId, 'uid-1')).workloadState, 'WORKLOAD_STATE_STOPPING')
  assert.equal((await operator.status(host.hostId, 'uid-1')).workloadState, 'WORKLOAD_STATE_NOT_FOUND')
  assert.equal((await operator.stop(host.hostId, 'uid-1')).workloadState, 'WORKLOAD_STATE_NOT_FOUND')
  assert.equal((await operator.heartbeat(host.hostId)).workloadCount, '0')
})

test('everything of a workload arrives at the host as its manifest would have given it', async () => {
  await using host = await testHost(nats.url, createHostStandIn())
  const audiences = 'sts.amazonaws.com, spiffe://example.org/ledger'
  await operator.start(host.hostId, 'uid-2', {
    namespace: 'team-a',
    name: 'gateway-8698956849-587c44b857',
    service: { image: 'ghcr.io/o/svc:1', maxRestarts: '3', localResources: {} },
    witWorld: {
      components: [
        {
          name: 'api',
          image: 'ghcr.io/o/hello:1',
          poolSize: 4,
          maxInvocations: 1000,
          imagePullPolicy: 'IMAGE_PULL_POLICY_ALWAYS',
          imagePullSecret: { username: 'ann', password: 'hush-9f1' },
          localResources: {
            environment: { K: 'v', __proto__x: 'y' },
            config: { k: 'v' },
            allowedHosts: ['https://api.example.com'],
            volumeMounts: [{ name: 'scratch', mountPath: '/d', readOnly: true }],
          },
        },
      ],
      hostInterfaces: [
        { namespace: 'wasmcloud', package: 'identity', version: '0.0.1', interfaces: ['store'], config: { audiences } },
      ],
    },
    volumes: [{ name: 'scratch', emptyDir: {} }],
  })
  const { workload, credentials } = host.host.starts[0]!
  const [api] = workload.components
  assert.deepEqual(
    [workload.kind, workload.name, workload.namespace, workload.replicas],
    ['Workload', 'gateway-8698956849-587c44b857', 'team-a', 1],
  )
  assert.deepEqual(
    [api?.name, api?.poolSize, api?.maxInvocations, api?.image.reference],
    ['api', 4, 1000, 'ghcr.io/o/hello:1'],
  )
  assert.deepEqual(api?.resources.environment, { K: 'v', __proto__x: 'y' })
  assert.deepEqual(api?.resources.volumeMounts, [{ name: 'scratch', mountPath: '/d', readOnly: true }])
  assert.equal(workload.service?.maxRestarts, 3)
  assert.equal(workload.hostInterfaces[0]?.config.audiences, audiences)
  assert.deepEqual(workload.volumes, [{ kind: 'ephemeral', name: 'scratch' }])
  assert.equal(api?.imagePullPolicy, 'Always')
  assert.deepEqual(credentials.get(api!.image), { kind: 'basic', username: 'ann', password: 'hush-9f1' })
  assert.doesNotMatch(host.logText(), /hush-9f1/)
})

test('a start that fails is answered with the reason, and stays known as failed until it is stopped', async () => {
  await using host = await testHost(nats.url, createHostStandIn())
  const failed = await operator.place(host.hostId, 'uid-3', wireWorkload('fail'))
  assert.equal(failed.workloadState, 'WORKLOAD_STATE_ERROR')
  assert.match(failed.message, /^ERR_OCI_NOT_FOUND: .*no such artifact.*check the spelling/)
  await operator.stop(host.hostId, 'uid-3')
  assert.equal((await operator.status(host.hostId, 'uid-3')).workloadState, 'WORKLOAD_STATE_NOT_FOUND')
})

test('a defect of the host is answered without its innards', async () => {
  await using host = await testHost(nats.url, createHostStandIn())
  const { workloadState, message } = await operator.start(host.hostId, 'uid-4', wireWorkload('defect'))
  assert.equal(workloadState, 'WORKLOAD_STATE_ERROR')
  assert.match(message, /^ERR_INTERNAL/)
  assert.doesNotMatch(message, /secret-value/)
})

test('a start that takes too long is answered as failed in time, with the reason, and what comes of it late is taken down', async () => {
  await using host = await testHost(nats.url, createHostStandIn(), { startTimeoutMs: 300 })
  for (const name of ['slow-60000', 'hang']) {
    const beganMs = performance.now()
    const answer = await operator.start(host.hostId, name, wireWorkload(name))
    assert.ok(performance.now() - beganMs < 2_000)
    assert.equal(answer.workloadState, 'WORKLOAD_STATE_ERROR')
    assert.match(answer.message, /^ERR_CONTROL_START_TIMEOUT/)
  }
  await until(
    'both were taken down',
    () => ['stop slow-60000', 'stop hang'].every((call) => host.host.calls.includes(call)),
    5_000,
  )
  assert.equal((await operator.status(host.hostId, 'hang')).workloadState, 'WORKLOAD_STATE_ERROR')
})

test('slow starts and stops delay neither heartbeats nor any other answer', async () => {
  await using host = await testHost(nats.url, createHostStandIn(), { heartbeatIntervalMs: 100 })
  const slow = Array.from({ length: 50 }, (_, index) =>
    operator.start(host.hostId, `slow-${index}`, wireWorkload('slow-1500')),
  )
  await operator.start(host.hostId, 'stubborn', wireWorkload('stubborn-1500'))
  const stop = operator.stop(host.hostId, 'stubborn')
  const waits: number[] = []
  for (let count = 0; count < 50; count++) {
    const beganMs = performance.now()
    assert.equal((await operator.status(host.hostId, `slow-${count}`)).workloadState, 'WORKLOAD_STATE_STARTING')
    await operator.heartbeat(host.hostId)
    waits.push(performance.now() - beganMs)
  }
  assert.equal((await operator.status(host.hostId, 'stubborn')).workloadState, 'WORKLOAD_STATE_STOPPING')
  assert.ok(Math.max(...waits) < 1_000, `the slowest pair of answers took ${Math.max(...waits)} ms`)
  for (const { workloadState } of await Promise.all(slow)) assert.equal(workloadState, 'WORKLOAD_STATE_RUNNING')
  await stop
  const times = operator.heartbeats.get(host.hostId)!.map(({ atMs }) => atMs)
  const gaps = times.slice(1).map((atMs, index) => atMs - times[index]!)
  assert.ok(Math.max(...gaps) < 600, `the longest gap between heartbeats was ${Math.max(...gaps)} ms`)
})

test('the same start ten times at once, and again later, starts once and is answered ten times', async () => {
  await using host = await testHost(nats.url, createHostStandIn())
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => operator.start(host.hostId, 'dup', wireWorkload('slow-200'))),
  )
  assert.ok(answers.every(({ workloadState }) => workloadState === 'WORKLOAD_STATE_RUNNING'))
  assert.equal(
    (await operator.start(host.hostId, 'dup', wireWorkload('slow-200'))).workloadState,
    'WORKLOAD_STATE_RUNNING',
  )
  assert.deepEqual(host.host.calls, ['start dup'])
})

test('a stop in the middle of a start ends both; a start that comes after its stop starts nothing', async () => {
  await using host = await testHost(nats.url, createHostStandIn())
  const start = operator.start(host.hostId, 'cut', wireWorkload('slow-60000'))
  await until('it starts', () => host.host.calls.includes('start cut'))
  await operator.stop(host.hostId, 'cut')
  const answer = await start
  assert.notEqual(answer.workloadState, 'WORKLOAD_STATE_RUNNING')
  assert.equal((await operator.status(host.hostId, 'cut')).workloadState, 'WORKLOAD_STATE_NOT_FOUND')
  await operator.stop(host.hostId, 'reordered')
  assert.equal(
    (await operator.start(host.hostId, 'reordered', wireWorkload('hello'))).workloadState,
    'WORKLOAD_STATE_ERROR',
  )
  assert.ok(!host.host.calls.includes('start reordered'))
})

test('two stops at once are one; a stop that takes too long is answered in time and goes on', async () => {
  await using host = await testHost(nats.url, createHostStandIn(), { stopTimeoutMs: 100 })
  await operator.start(host.hostId, 'slow-to-stop', wireWorkload('stubborn-600'))
  const beganMs = performance.now()
  const [one, other] = await Promise.all([
    operator.stop(host.hostId, 'slow-to-stop'),
    operator.stop(host.hostId, 'slow-to-stop'),
  ])
  assert.ok(performance.now() - beganMs < 500)
  assert.deepEqual([one.workloadState, other.workloadState], ['WORKLOAD_STATE_STOPPING', 'WORKLOAD_STATE_STOPPING'])
  assert.equal(host.host.calls.filter((call) => call.startsWith('stop')).length, 1)
  await until('it is gone', () => host.host.status('slow-to-stop') === undefined)
})

test('while it drains, a host starts nothing new, and still answers for what it has', async () => {
  await using host = await testHost(nats.url, createHostStandIn())
  await operator.start(host.hostId, 'old', wireWorkload('hello'))
  host.refuseStarts()
  const refused = await operator.start(host.hostId, 'new', wireWorkload('hello'))
  assert.match(refused.message, /^ERR_HOST_DRAINING/)
  assert.equal(refused.workloadState, 'WORKLOAD_STATE_ERROR')
  assert.equal((await operator.status(host.hostId, 'old')).workloadState, 'WORKLOAD_STATE_RUNNING')
  assert.equal((await operator.stop(host.hostId, 'old')).workloadState, 'WORKLOAD_STATE_STOPPING')
})

test('a host that drains is not heard of any more: nothing brings back its Host object', async () => {
  await using host = await testHost(nats.url, createHostStandIn(), { heartbeatIntervalMs: 50 })
  await until('it was heard', () => (operator.heartbeats.get(host.hostId)?.length ?? 0) >= 2)
  host.refuseStarts()
  await new Promise((resolve) => setTimeout(resolve, 100))
  const heard = operator.heartbeats.get(host.hostId)!.length
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(operator.heartbeats.get(host.hostId)!.length, heard)
  await assert.rejects(operator.heartbeat(host.hostId))
})

test('a running workload that is stopped is served a while longer, so that who sends requests hears of its end in time', async () => {
  await using host = await testHost(nats.url, createHostStandIn(), { stopDelayMs: 400 })
  await operator.start(host.hostId, 'late', wireWorkload('hello'))
  const askedMs = performance.now()
  for (let asked = 0; asked < 2; asked++) {
    assert.equal((await operator.stop(host.hostId, 'late')).workloadState, 'WORKLOAD_STATE_STOPPING')
    assert.ok(performance.now() - askedMs < 300, 'the answer does not wait')
  }
  assert.equal((await operator.status(host.hostId, 'late')).workloadState, 'WORKLOAD_STATE_STOPPING')
  assert.equal(host.host.status('late')?.state, 'running')
  await until('it is gone', () => host.host.status('late') === undefined)
  assert.ok(performance.now() - askedMs >= 390)
  assert.equal(host.host.calls.filter((call) => call.startsWith('stop')).length, 1)
})

test('a delayed stop stays one while the host drains, and is carried out at its end', async () => {
  const host = await testHost(nats.url, createHostStandIn(), { stopDelayMs: 60_000 })
  await operator.start(host.hostId, 'late', wireWorkload('hello'))
  host.refuseStarts()
  await operator.stop(host.hostId, 'late')
  assert.equal(host.host.status('late')?.state, 'running')
  await host[Symbol.asyncDispose]()
  await until('it is gone', () => host.host.status('late') === undefined)
})

test('a workload the operator has forgotten is stopped, one it asks about is kept', async () => {
  await using host = await testHost(nats.url, createHostStandIn(), {
    orphans: { kind: 'stop', afterMs: 500 },
    orphanSweepMs: 50,
  })
  for (const id of ['forgotten', 'kept']) await operator.start(host.hostId, id, wireWorkload('hello'))
  // Without an operator, silence means nothing.
  await new Promise((resolve) => setTimeout(resolve, 800))
  assert.equal(host.host.calls.length, 2)
  for (let count = 0; count < 20; count++) {
    await operator.heartbeat(host.hostId)
    await operator.status(host.hostId, 'kept')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.deepEqual(host.host.calls.slice(2), ['stop forgotten'])
  assert.ok(host.events().some(({ event, workloadId }) => event === 'control.orphan' && workloadId === 'forgotten'))
})

test('two hosts with one name are said in the log of both, and two with one id', async () => {
  await using one = await testHost(nats.url, createHostStandIn(), {
    identity: { friendlyName: 'twin' },
    heartbeatIntervalMs: 50,
  })
  await using other = await testHost(nats.url, createHostStandIn(), {
    identity: { friendlyName: 'twin' },
    heartbeatIntervalMs: 50,
  })
  for (const host of [one, other])
    await until('it is said', () => host.events().some(({ event }) => event === 'control.name-conflict'))
  await using copy = await testHost(nats.url, createHostStandIn(), {
    identity: { hostId: one.hostId },
    heartbeatIntervalMs: 50,
  })
  await until('it is said', () => copy.events().some(({ event }) => event === 'control.id-conflict'))
})

test('of two hosts with one id the one that was started later keeps silent, to Herald’s own questions too, and takes over when the other is gone', async () => {
  const silences: boolean[] = []
  // What is asked below needs no more of it.
  const inventoried = (url: string) => ({ url, acceptsFiles: false, workloads: () => [] }) as unknown as InventoriedHost
  const elder = await testHost(nats.url, createHostStandIn(), {
    ...{ heartbeatIntervalMs: 200, inventoried: inventoried('http://elder.test') },
  })
  await using younger = await testHost(nats.url, createHostStandIn(), {
    identity: { hostId: elder.hostId },
    heartbeatIntervalMs: 1_000,
    inventoried: inventoried('http://younger.test'),
    onSilence: (silent) => void silences.push(silent),
  })
  /** Who answers; asked of all hosts, and of this id. */
  const answering = async () => {
    const found: string[] = []
    for (const subject of ['herald.hosts', `herald.host.${elder.hostId}.workloads`])
      for await (const { data } of await operator.connection.requestMany(subject, '{}', { maxWait: 300 })) {
        const { url, heartbeat } = JSON.parse(Buffer.from(data).toString()) as WireHeraldHost
        if (subject !== 'herald.hosts' || heartbeat?.id === elder.hostId) found.push(url ?? 'a list')
      }
    return found
  }
  const heard = () => (operator.heartbeats.get(elder.hostId) ?? []).map(({ heartbeat }) => heartbeat.friendlyName)
  for (const host of [elder, younger])
    await until('it is said', () => host.events().some(({ event }) => event === 'control.id-conflict'))
  for (let count = 0; count < 10; count++) {
    const { workloadState } = await operator.place(elder.hostId, `once-${count}`, wireWorkload('hello'))
    assert.equal(workloadState, 'WORKLOAD_STATE_RUNNING')
  }
  assert.equal(elder.host.starts.length, 10)
  assert.deepEqual(younger.host.calls, [], 'nothing was started twice')
  assert.deepEqual(silences, [true])
  assert.ok(younger.events().some(({ event }) => event === 'control.silent'))
  assert.deepEqual(await answering(), ['http://elder.test', 'a list'])
  await elder[Symbol.asyncDispose]()
  const before = heard().length
  await until('the other one is heard', () => heard().slice(before).includes(younger.identity.friendlyName), 20_000)
  assert.equal(
    (await operator.place(younger.hostId, 'later', wireWorkload('hello'))).workloadState,
    'WORKLOAD_STATE_RUNNING',
  )
  assert.deepEqual(younger.host.calls, ['start later'])
  assert.deepEqual(silences, [true, false])
  assert.deepEqual(await answering(), ['http://younger.test', 'a list'])
})

for (const [what, identity] of [
  ['a friendly name with capitals', { friendlyName: 'Host' }],
  ['a friendly name with a space', { friendlyName: 'a b' }],
  ['an id with a dot', { hostId: 'a.b' }],
  ['an id that is a wildcard', { hostId: '>' }],
  ['a label value with a space', { labels: { a: 'b c' } }],
  ['a label key without a name', { labels: { 'example.com/': 'x' } }],
  ['an empty host name', { hostname: '' }],
] as const) {
  test(`${what} is refused before anything is announced`, async () => {
    await assert.rejects(
      testHost(nats.url, createHostStandIn(), { identity }),
      (error) => isHeraldError(error) && /^ERR_(CONTROL_IDENTITY|LATTICE_SUBJECT)_INVALID$/.test(error.code),
    )
  })
}
