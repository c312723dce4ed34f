import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'nats'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { freePort } from '../support/free-port.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { bytesOf, onceOf, testLattice, until, within } from './lattice-test-setup.ts'

type Writes = { readonly acknowledged: Map<string, string>; readonly refused: Map<string, number> }

/** Three servers that know each other from the start. */
async function startCluster(stack: AsyncDisposableStack): Promise<readonly Nats[]> {
  const ports = [await freePort(), await freePort(), await freePort()]
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`)
  const nodes = await Promise.all(
    ports.map((port) =>
      startNats({ jetstream: true, cluster: { name: 'three', routes, port }, config: 'http: "127.0.0.1:-1"' }),
    ),
  )
  for (const node of nodes) stack.use(node)
  return nodes
}

/**
 * The node that leads the bucket but not JetStream as a whole: a new leader of the whole is elected for up to half a minute, and nothing can be
 * made or listed until then, which says nothing of Herald.
 */
async function leaderOfBucketOnly(nodes: readonly Nats[]): Promise<Nats> {
  const [first] = nodes
  const monitor = /Starting http monitor on (127\.0\.0\.1:\d+)/.exec(first!.logs())?.[1]
  const admin = await connect({ servers: nodes.map(({ url }) => url), name: 'admin', reconnectTimeWait: 50 })
  try {
    const manager = await admin.jetstreamManager()
    for (let tries = 0; tries < 50; tries++) {
      const { meta_cluster: meta } = (await (await fetch(`http://${monitor}/jsz`)).json()) as {
        meta_cluster?: { leader?: string }
      }
      const { cluster, config } = await manager.streams.info('KV_cache')
      assert.equal(config.num_replicas, 3)
      const leader = nodes.find(({ url }) => cluster?.leader === `nats-${portOf(url)}`)
      if (leader !== undefined && meta?.leader !== undefined && meta.leader !== cluster?.leader) return leader
      if (leader !== undefined) await admin.request('$JS.API.STREAM.LEADER.STEPDOWN.KV_cache')
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    throw new Error('no node leads the bucket only')
  } finally {
    await admin.close()
  }
}

const portOf = (url: string): string => url.slice(url.lastIndexOf(':') + 1)

test('of three nodes with replicated buckets the leader is killed under load: the host moves on, and nothing that was acknowledged is lost', async (t) => {
  await using stack = new AsyncDisposableStack()
  const nodes = await startCluster(stack)
  await using lattice = testLattice(nodes[0]!.url, { servers: nodes.map(({ url }) => url) })
  // JetStream answers once the three have elected a leader of theirs.
  const endMs = Date.now() + 30_000
  const opened = async () => {
    for (;;) {
      try {
        const signal = AbortSignal.timeout(5_000)
        await lattice.openKvBucket('cache', { replicas: 3, storage: 'memory', signal })
        const blobs = await lattice.openObjectBucket('files', { create: { replicas: 3, storage: 'memory' }, signal })
        return blobs!
      } catch (error) {
        if (Date.now() > endMs || !isHeraldError(error)) throw error
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }
  const blobs = await opened()
  const object = Buffer.alloc(300_000, 'a')
  await blobs.write('before', onceOf(object))

  const leader = await leaderOfBucketOnly(nodes)
  // A host's connection on the very node that is killed.
  await using host = testLattice(leader.url)
  await host.connected(within(10_000))
  const hostKv = await host.openKvBucket('cache', { replicas: 3, storage: 'memory', ...within(10_000) })

  const writes: Writes = { acknowledged: new Map(), refused: new Map() }
  let writing = true
  let killed = false
  let afterKill = 0
  const write = async (writer: number) => {
    for (let count = 0; writing; count++) {
      const [key, value] = [`w${writer}.${count}`, `${writer}-${count}`]
      const begunAfterKill = killed
      try {
        await hostKv.put(key, Buffer.from(value))
        writes.acknowledged.set(key, value)
        if (begunAfterKill) afterKill++
      } catch (error) {
        assert.ok(isHeraldError(error), String(error))
        writes.refused.set(error.code, (writes.refused.get(error.code) ?? 0) + 1)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const writers = Array.from({ length: 4 }, (_, writer) => write(writer))
  try {
    await until('there is load', () => writes.acknowledged.size > 100)
    const killedMs = performance.now()
    await leader.kill()
    killed = true
    await until(
      'the host is on another node, which it was never told of',
      () => {
        const { state } = host
        return state.kind === 'connected' && portOf(state.server) !== portOf(leader.url)
      },
      20_000,
    )
    const movedMs = performance.now()
    await until('writes are taken again', () => afterKill > 20, 40_000)
    t.diagnostic(
      `reconnected ${Math.round(movedMs - killedMs)} ms after the kill, writes taken again within ${Math.round(performance.now() - killedMs)} ms; ` +
        `${writes.acknowledged.size} writes acknowledged, refused: ${JSON.stringify(Object.fromEntries(writes.refused))}`,
    )
  } finally {
    writing = false
    await Promise.all(writers)
  }
  const lost: string[] = []
  for (const [key, value] of writes.acknowledged) {
    const entry = await hostKv.get(key)
    if (entry === undefined || Buffer.from(entry.value).toString() !== value) lost.push(key)
  }
  assert.deepEqual(lost, [], 'every write that was acknowledged is there')
  // That bucket may have been led by the same node, and elects a leader of its own.
  const readEndMs = Date.now() + 40_000
  const read = async () => {
    for (;;) {
      try {
        return await bytesOf((await host.openObjectBucket('files', within(5_000)))!, 'before')
      } catch (error) {
        if (Date.now() > readEndMs || !isHeraldError(error)) throw error
      }
    }
  }
  assert.deepEqual(await read(), object)
  assert.ok(
    host.events().some(({ event }) => event === 'lattice.reconnecting'),
    'the loss of the connection is in the log',
  )
})
