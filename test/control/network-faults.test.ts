import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../lattice/lattice-test-setup.ts'
import { startNetworkStandIn } from '../lattice/network-stand-in.ts'
import { freePort } from '../support/free-port.ts'
import { startNats } from '../support/nats.ts'
import { testHost } from './control-test-setup.ts'
import { createHostStandIn } from './host-stand-in.ts'
import { startOperatorDriver, wireWorkload } from './operator-driver.ts'

test('one of three hosts is cut off: it is seen to be silent, its work goes elsewhere, and back again it runs nothing twice', async (t) => {
  await using nats = await startNats({ config: 'ping_interval: "500ms"\nping_max: 1' })
  await using operator = await startOperatorDriver(nats.url)
  await using network = await startNetworkStandIn(nats.url)
  await using one = await testHost(nats.url, createHostStandIn())
  await using two = await testHost(nats.url, createHostStandIn())
  await using cut = await testHost(network.url, createHostStandIn(), {
    heartbeatIntervalMs: 200,
    orphanSweepMs: 50,
    orphans: { kind: 'stop', afterMs: 1_000 },
    connection: { pingIntervalMs: 200, connectTimeoutMs: 500 },
  })
  for (const host of [one, two, cut])
    assert.equal(
      (await operator.place(host.hostId, `on-${host.hostId}`, wireWorkload('hello'))).workloadState,
      'WORKLOAD_STATE_RUNNING',
    )
  const cutMs = performance.now()
  network.pass('none')
  assert.equal(await operator.raw(cut.hostId, 'heartbeat', Buffer.from('{}'), 300), undefined)
  // As the operator does it: the workload of the silent host is made anew elsewhere, under an id of its own; the stop of the old one gets lost.
  await operator.raw(cut.hostId, 'workload.stop', Buffer.from(JSON.stringify({ workloadId: `on-${cut.hostId}` })), 100)
  assert.equal(
    (await operator.place(one.hostId, 'moved', wireWorkload('hello'))).workloadState,
    'WORKLOAD_STATE_RUNNING',
  )
  await until('the host knows that it is cut off', () =>
    cut.events().some(({ event }) => event === 'lattice.reconnecting'),
  )
  assert.equal(cut.host.status(`on-${cut.hostId}`)?.state, 'running', 'what it runs goes on, for who still reaches it')
  t.diagnostic(`noticed by the host ${Math.round(performance.now() - cutMs)} ms after the cut`)

  const heard = operator.heartbeats.get(cut.hostId)!.length
  network.pass('all')
  await until('it is heard again', () => operator.heartbeats.get(cut.hostId)!.length > heard, 20_000)
  const endMs = Date.now() + 20_000
  while (cut.host.status(`on-${cut.hostId}`) !== undefined) {
    assert.ok(Date.now() < endMs, 'the copy that nobody asks about ends')
    await operator.raw(cut.hostId, 'heartbeat', Buffer.from('{}'), 500)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.deepEqual(
    cut.host.calls,
    [`start on-${cut.hostId}`, `stop on-${cut.hostId}`],
    'the workload that moved runs once, and nothing was started again',
  )
  for (const [host, id] of [
    [one, `on-${one.hostId}`],
    [one, 'moved'],
    [two, `on-${two.hostId}`],
  ] as const)
    assert.equal((await operator.status(host.hostId, id)).workloadState, 'WORKLOAD_STATE_RUNNING')
  assert.equal(
    (await operator.place(cut.hostId, 'new', wireWorkload('hello'))).workloadState,
    'WORKLOAD_STATE_RUNNING',
    'and it takes work again',
  )
})

test('a host on a leaf node is driven from the hub, also after the leaf was killed and is back', async () => {
  const leafPort = await freePort()
  await using hub = await startNats({ config: `leafnodes { listen: "127.0.0.1:${leafPort}" }` })
  await using leaf = await startNats({
    config: `leafnodes { reconnect: "100ms", remotes: [ { url: "nats-leaf://127.0.0.1:${leafPort}" } ] }`,
  })
  await using operator = await startOperatorDriver(hub.url)
  await using host = await testHost(leaf.url, createHostStandIn(), { heartbeatIntervalMs: 200 })
  const heardSince = (count: number) => (operator.heartbeats.get(host.hostId)?.length ?? 0) > count
  await until('it is heard at the hub', () => heardSince(0), 20_000)
  assert.equal((await operator.place(host.hostId, 'a', wireWorkload('hello'))).workloadState, 'WORKLOAD_STATE_RUNNING')
  await leaf.kill()
  await until('the host knows it', () => host.events().some(({ event }) => event === 'lattice.reconnecting'))
  assert.equal(await operator.raw(host.hostId, 'heartbeat', Buffer.from('{}'), 200), undefined)
  const before = operator.heartbeats.get(host.hostId)!.length
  await leaf.restart()
  await until('it is heard again', () => heardSince(before), 20_000)
  const endMs = Date.now() + 20_000
  // The hub hears of the host's subscription a moment after its heartbeat.
  while ((await operator.raw(host.hostId, 'heartbeat', Buffer.from('{}'), 500)) === undefined)
    assert.ok(Date.now() < endMs, 'the hub reaches the host again')
  assert.equal((await operator.status(host.hostId, 'a')).workloadState, 'WORKLOAD_STATE_RUNNING')
  await operator.stop(host.hostId, 'a')
  assert.deepEqual(host.host.calls, ['start a', 'stop a'])
})

test('a host that does not read fast enough is dropped by the server as a slow consumer, and comes back by itself', async () => {
  await using nats = await startNats({ config: 'write_deadline: "200ms"\nmax_pending: 2MB' })
  await using operator = await startOperatorDriver(nats.url)
  await using network = await startNetworkStandIn(nats.url)
  await using host = await testHost(network.url, createHostStandIn(), { heartbeatIntervalMs: 100 })
  await operator.place(host.hostId, 'a', wireWorkload('hello'))
  network.pass('to-server')
  const flood = Buffer.alloc(500_000, ' ')
  const endMs = Date.now() + 20_000
  // Beyond what the kernel's buffers on the way hold.
  while (!/Slow Consumer/i.test(nats.logs())) {
    assert.ok(Date.now() < endMs, 'the server gives it up')
    for (let count = 0; count < 8; count++)
      operator.connection.publish(`runtime.host.${host.hostId}.workload.status`, flood)
    await operator.connection.flush()
  }
  network.pass('all')
  await until('the host knows it', () => host.events().some(({ event }) => event === 'lattice.reconnecting'), 20_000)
  const heard = operator.heartbeats.get(host.hostId)!.length
  await until('it is heard again', () => operator.heartbeats.get(host.hostId)!.length > heard, 20_000)
  assert.equal((await operator.status(host.hostId, 'a')).workloadState, 'WORKLOAD_STATE_RUNNING')
  assert.deepEqual(host.host.calls, ['start a'])
})
