import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { until } from '../lattice/lattice-test-setup.ts'
import { startNats } from '../support/nats.ts'
import { testHost } from './control-test-setup.ts'
import { createHostStandIn } from './host-stand-in.ts'
import { startOperatorDriver, wireWorkload } from './operator-driver.ts'

test('a host that starts while NATS is down announces itself as soon as it is up', async () => {
  await using nats = await startNats()
  await nats.stop()
  await using host = await testHost(nats.url, createHostStandIn(), { connected: false, heartbeatIntervalMs: 60_000 })
  await until('it tries', () => host.events().some(({ event }) => event === 'lattice.connect-failed'))
  await nats.restart()
  await using operator = await startOperatorDriver(nats.url)
  const beganMs = performance.now()
  // The heartbeat may be before the operator's subscription; then the operator's own question is the first sign, as upstream.
  const asked = async () => (await operator.raw(host.hostId, 'heartbeat', Buffer.from('{}'), 500)) !== undefined
  while (!operator.heartbeats.has(host.hostId) && !(await asked())) assert.ok(performance.now() - beganMs < 10_000)
  assert.equal((await operator.place(host.hostId, 'a', wireWorkload('hello'))).workloadState, 'WORKLOAD_STATE_RUNNING')
})

test('NATS is killed and comes back under load: no workload is lost, starts on their way are answered or can be asked again', async (t) => {
  await using nats = await startNats()
  await using operator = await startOperatorDriver(nats.url)
  await using host = await testHost(nats.url, createHostStandIn(), { heartbeatIntervalMs: 60_000 })
  for (let index = 0; index < 20; index++) await operator.start(host.hostId, `before-${index}`, wireWorkload('hello'))
  const during = Array.from({ length: 20 }, (_, index) =>
    operator.start(host.hostId, `during-${index}`, wireWorkload('slow-800')).catch(() => undefined),
  )
  await until('all have begun', () => host.host.calls.length === 40)
  const heartbeatsBefore = operator.heartbeats.get(host.hostId)!.length
  await nats.kill()
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  const backMs = performance.now()
  await nats.restart()
  await until('it announces itself again', () => operator.heartbeats.get(host.hostId)!.length > heartbeatsBefore)
  t.diagnostic(`announced again ${Math.round(performance.now() - backMs)} ms after NATS was started`)
  for (let index = 0; index < 20; index++) {
    assert.equal((await operator.status(host.hostId, `before-${index}`)).workloadState, 'WORKLOAD_STATE_RUNNING')
    assert.equal(
      (await operator.start(host.hostId, `during-${index}`, wireWorkload('slow-800'))).workloadState,
      'WORKLOAD_STATE_RUNNING',
    )
  }
  // The answers that were ready while NATS was away were kept, and found those who still waited.
  const answered = (await Promise.all(during)).filter((answer) => answer !== undefined)
  t.diagnostic(`${answered.length} of 20 starts on their way were answered across the outage`)
  assert.ok(answered.every(({ workloadState }) => workloadState === 'WORKLOAD_STATE_RUNNING'))
  assert.equal(host.host.calls.length, 40, 'nothing was started twice')
})

test('a host is killed with -9: its silence is seen, and another one serves', async (t) => {
  await using nats = await startNats()
  await using operator = await startOperatorDriver(nats.url)
  const run = (id: string) =>
    spawn(process.execPath, [fileURLToPath(new URL('host-process.ts', import.meta.url)), nats.url, id, id], {
      stdio: 'inherit',
    })
  const [one, two] = [run('host-one'), run('host-two')]
  try {
    await until(
      'both are there',
      () => operator.heartbeats.has('host-one') && operator.heartbeats.has('host-two'),
      20_000,
    )
    await operator.place('host-one', 'uid', wireWorkload('hello'))
    const killedMs = performance.now()
    one.kill('SIGKILL')
    await once(one, 'exit')
    // NATS drops the subscription with the connection, so the operator's next question fails at once.
    assert.equal(await operator.raw('host-one', 'heartbeat', Buffer.from('{}')), undefined)
    assert.equal(
      (await operator.place('host-two', 'uid-again', wireWorkload('hello'))).workloadState,
      'WORKLOAD_STATE_RUNNING',
    )
    t.diagnostic(
      `another host served ${Math.round(performance.now() - killedMs)} ms after the kill, once asked; upstream's operator asks every 60 s`,
    )
  } finally {
    for (const child of [one, two]) child.kill('SIGKILL')
  }
})

test('two hosts share a lattice: each answers for itself', async () => {
  await using nats = await startNats()
  await using operator = await startOperatorDriver(nats.url)
  await using one = await testHost(nats.url, createHostStandIn())
  await using two = await testHost(nats.url, createHostStandIn())
  await operator.start(one.hostId, 'same-id', wireWorkload('hello'))
  assert.equal((await operator.status(one.hostId, 'same-id')).workloadState, 'WORKLOAD_STATE_RUNNING')
  assert.equal((await operator.status(two.hostId, 'same-id')).workloadState, 'WORKLOAD_STATE_NOT_FOUND')
  assert.deepEqual(two.host.calls, [])
})

test('disposal takes back what is starting, answers it, and stops no workload', async () => {
  await using nats = await startNats()
  await using operator = await startOperatorDriver(nats.url)
  const host = await testHost(nats.url, createHostStandIn())
  await operator.start(host.hostId, 'runs', wireWorkload('hello'))
  const start = operator.start(host.hostId, 'starts', wireWorkload('slow-60000'))
  await until('it starts', () => host.host.calls.includes('start starts'))
  await host[Symbol.asyncDispose]()
  assert.equal((await start).workloadState, 'WORKLOAD_STATE_ERROR')
  assert.equal(host.host.status('runs')?.state, 'running')
})

test('200 workloads on three hosts', async (t) => {
  await using nats = await startNats()
  await using operator = await startOperatorDriver(nats.url)
  await using stack = new AsyncDisposableStack()
  const hosts = [1, 2, 3].map(() => testHost(nats.url, createHostStandIn()))
  const ready = (await Promise.all(hosts)).map((host) => stack.use(host))
  const beganMs = performance.now()
  const placed = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      operator.place(ready[index % 3]!.hostId, `w-${index}`, wireWorkload(`w-${index}`)),
    ),
  )
  t.diagnostic(
    `200 starts and 600 statuses in ${Math.round(performance.now() - beganMs)} ms (host stand-ins: the protocol's own cost)`,
  )
  assert.ok(placed.every(({ workloadState }) => workloadState === 'WORKLOAD_STATE_RUNNING'))
})
