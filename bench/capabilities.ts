import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createClient, RESP_TYPES } from '@redis/client'
import { connect } from 'nats'
import { createKeyvalueCapability } from '../src/capabilities/keyvalue/keyvalue-capability.ts'
import { createMessagingCapability } from '../src/capabilities/messaging/messaging-capability.ts'
import { systemClock } from '../src/clock/clock.ts'
import { connectLattice } from '../src/lattice/connect-lattice.ts'
import { openCapabilityHouse } from '../test/capabilities/capability-house.ts'
import { startNats } from '../test/support/nats.ts'
import { startRedis } from '../test/support/redis.ts'
import { startAskingThread } from './asking-thread.ts'
import { type BenchRun, summarize } from './result.ts'

const execute = promisify(execFile)
const messages = 200_000

/**
 * Gets of a guest over those of the raw client, on the thread that has the connection and asked for by another thread as a cell does;
 * messages of a guest's handler over those of a plain subscriber.
 */
export const run: BenchRun = async ({ rounds, secondsPerRound, say }) => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats({ jetstream: true }))
  const redis = stack.use(await startRedis())
  const peer = await connect({ servers: nats.url })
  stack.defer(() => peer.close())
  const client = await createClient({ url: redis.url }).connect()
  stack.defer(() => client.destroy())
  const house = await openCapabilityHouse((log) => {
    const lattice = (name: string) => {
      const connection = connectLattice({ servers: [nats.url], name, log, clock: systemClock })
      stack.use(connection)
      return connection
    }
    const lattices = { storage: lattice('storage'), messaging: lattice('messaging') }
    return [
      createKeyvalueCapability({ log, lattice: (purpose) => lattices[purpose], allowedHostPaths: [] }),
      createMessagingCapability({ log, lattice: (purpose) => lattices[purpose] }),
    ]
  })
  stack.use(house)
  const keyvalue = (name: string, config: string) =>
    `{namespace: wasi, package: keyvalue, interfaces: [store, atomics, batch], name: ${name}, config: {${config}}}`
  const guest = await house.deploy({
    component: 'keyvalue-c',
    interfaces: [keyvalue('nats', 'backend: nats'), keyvalue('redis', `backend: redis, url: "${redis.url}"`)],
  })
  const value = 'v'.repeat(100)
  for (const bucket of ['nats', 'redis']) await guest.get('/set', { bucket, key: 'key', value })
  const kv = await peer.jetstream().views.kv('herald_shop_nats', { bindOnly: true })
  const asBuffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  const raw: Record<string, () => Promise<unknown>> = {
    nats: () => kv.get('key'),
    redis: () => asBuffers.get('herald_shop_redis:key'),
  }

  const asking = stack.use(await startAskingThread())
  const perGetUs: Record<string, number[]> = {}
  const push = (name: string, sample: number) => {
    perGetUs[name] ??= []
    perGetUs[name].push(sample)
  }
  for (let round = 0; round <= rounds; round++) {
    for (const [bucket, get] of Object.entries(raw)) {
      const untilMs = performance.now() + (secondsPerRound * 1000) / 4
      const startedMs = performance.now()
      let gets = 0
      while (performance.now() < untilMs) {
        for (let index = 0; index < 100; index++) await get()
        gets += 100
      }
      const rawUs = ((performance.now() - startedMs) * 1000) / gets
      const askedUs = await asking.measure(gets, get)
      const { status, text } = await guest.get('/bench', { bucket, key: 'key', n: String(gets) })
      if (status !== 200) throw new Error(`the guest's gets failed: ${text}`)
      const guestUs = Number(text) / 1000 / gets
      // The first round warms up.
      if (round === 0) continue
      push(`${bucket} raw`, rawUs)
      push(`${bucket} asked`, askedUs)
      push(`${bucket} guest`, guestUs)
      push(`${bucket} ratio`, guestUs / rawUs)
      push(`${bucket} asked ratio`, guestUs / askedUs)
      say(
        `round ${round}, ${bucket}: raw ${rawUs.toFixed(1)} µs, from another thread ${askedUs.toFixed(1)} µs, guest ${guestUs.toFixed(1)} µs`,
      )
    }
  }
  await guest[Symbol.asyncDispose]()

  const plain: number[] = []
  const handled: number[] = []
  const ratios: number[] = []
  const subscription = peer.subscribe('bench.plain', { callback: (_, message) => void message.respond() })
  await peer.flush()
  const entry = 'subscriptions: bench.guest, max_in_flight: "1024", max_waiting: "1000000"'
  await house.deploy({
    component: 'messaging-c',
    interfaces: [`{namespace: wasmcloud, package: messaging, interfaces: [consumer, handler], config: {${entry}}}`],
    poolSize: 8,
  })
  await new Promise((resolve) => setTimeout(resolve, 200))
  for (let round = 0; round <= rounds; round++) {
    const plainRate = await publish(nats.url, 'bench.plain')
    const guestRate = await publish(nats.url, 'bench.guest')
    if (round === 0) continue
    plain.push(plainRate)
    handled.push(guestRate)
    ratios.push(guestRate / plainRate)
    say(`round ${round}, messages/s: plain ${Math.round(plainRate)}, guest ${Math.round(guestRate)}`)
  }
  subscription.unsubscribe()
  const lost = house.records().filter(({ event }) => event === 'messaging.lost')
  if (lost.length > 0) throw new Error(`messages were lost, the figure counts them as handled: ${JSON.stringify(lost)}`)

  return [
    ...['nats', 'redis'].flatMap((bucket) => [
      summarize(`get of the raw ${bucket} client`, 'µs', perGetUs[`${bucket} raw`] ?? []),
      summarize(`get of a guest, ${bucket}`, 'µs', perGetUs[`${bucket} guest`] ?? []),
      summarize(`get of a guest over the raw ${bucket} client`, 'ratio', perGetUs[`${bucket} ratio`] ?? [], {
        comparison: '≤',
        value: 1.3,
      }),
      summarize(
        `get of the raw ${bucket} client, asked for by another thread`,
        'µs',
        perGetUs[`${bucket} asked`] ?? [],
      ),
      summarize(
        `get of a guest over the raw ${bucket} client asked by another thread`,
        'ratio',
        perGetUs[`${bucket} asked ratio`] ?? [],
        { comparison: '≤', value: 1.3 },
      ),
    ]),
    summarize('messages of a plain nats subscriber', 'messages/s', plain),
    summarize("messages of a guest's handler", 'messages/s', handled),
    summarize('handler over plain subscriber', 'ratio', ratios, { comparison: '≥', value: 0.5 }),
  ]
}

/** Messages a second, from the first one sent until all are handled, by a process of its own. */
async function publish(url: string, subject: string): Promise<number> {
  const script = join(import.meta.dirname, 'message-publisher.ts')
  const { stdout } = await execute(process.execPath, [script, url, subject, String(messages)])
  return messages / (Number(stdout) / 1000)
}
