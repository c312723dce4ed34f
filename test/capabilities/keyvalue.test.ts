import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createClient } from '@redis/client'
import { connect } from 'nats'
import { createKeyvalueCapability } from '../../src/capabilities/keyvalue/keyvalue-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { connectLattice } from '../../src/lattice/connect-lattice.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type CapabilityHouse, type HouseWorkload, openCapabilityHouse } from './capability-house.ts'

const password = 'correct-horse'
const cleanup = new AsyncDisposableStack()
let house: CapabilityHouse
let nats: Nats
let redis: Redis
let directory: string

before(async () => {
  directory = cleanup.use(temporaryDirectory()).path
  ;[nats, redis] = await Promise.all([startNats({ jetstream: true }), startRedis({ password })])
  cleanup.use(nats)
  cleanup.use(redis)
  house = await openCapabilityHouse((log) => {
    const lattice = connectLattice({
      servers: [nats.url],
      name: 'storage',
      log,
      clock: systemClock,
      drainTimeoutMs: 100,
    })
    cleanup.use(lattice)
    return [createKeyvalueCapability({ log, lattice: () => lattice, allowedHostPaths: [directory] })]
  })
  cleanup.use(house)
})
after(() => cleanup.disposeAsync())

const configs = {
  'in-memory': () => 'backend: in-memory',
  nats: () => 'backend: nats',
  redis: () => `backend: redis, url: "${redis.url}", password: ${password}`,
  filesystem: () => `backend: filesystem, root: "${directory}"`,
}

const entry = (config: string, { name = '', interfaces = 'store, atomics, batch' } = {}) =>
  `{namespace: wasi, package: keyvalue, interfaces: [${interfaces}], version: 0.2.0-draft, ${name && `name: ${name}, `}config: {${config}}}`
const deploy = (config: string, options: Partial<HouseWorkload> = {}) =>
  house.deploy({ component: 'keyvalue-c', interfaces: [entry(config)], ...options })

for (const [backend, config] of Object.entries(configs)) {
  describe(backend, () => {
    test('what is set is there, until it is deleted', async () => {
      await using guest = await deploy(config())
      const of = (key: string, more = {}) => ({ bucket: 'basic', key, ...more })
      assert.equal((await guest.get('/get', of('a'))).status, 404)
      assert.equal((await guest.get('/exists', of('a'))).text, 'false')
      assert.equal((await guest.get('/set', of('a', { value: 'one' }))).status, 200)
      assert.equal((await guest.get('/set', of('a', { value: 'two' }))).status, 200)
      assert.deepEqual(await guest.get('/get', of('a')), { status: 200, text: 'two' })
      assert.equal((await guest.get('/exists', of('a'))).text, 'true')
      assert.equal((await guest.get('/set', of('empty', { value: '' }))).status, 200)
      assert.deepEqual(await guest.get('/get', of('empty')), { status: 200, text: '' })
      assert.equal((await guest.get('/delete', of('a'))).status, 200)
      assert.equal((await guest.get('/delete', of('a'))).status, 200)
      assert.equal((await guest.get('/get', of('a'))).status, 404)
    })

    test('hostile keys are keys like any other', async () => {
      await using guest = await deploy(config())
      const keys = [
        '*',
        '>',
        'a.*',
        '..',
        '.',
        '../../etc/passwd',
        '/abs',
        'a b',
        'user:1',
        'ünïcode',
        'x\r\nDEL y',
        '%2e%2e',
        '=2E',
        'a..b',
        '.a.',
        '$KV.x',
        '[a]?',
        '"',
        '__proto__',
      ]
      for (const key of keys)
        assert.equal((await guest.get('/set', { bucket: 'odd', key, value: `v ${key}` })).status, 200, key)
      for (const key of keys) assert.equal((await guest.get('/get', { bucket: 'odd', key })).text, `v ${key}`, key)
      const { keys: listed } = JSON.parse((await guest.get('/list', { bucket: 'odd' })).text)
      assert.deepEqual([...listed].sort(), [...keys].sort())
    })

    test('keys that are none are refused', async () => {
      await using guest = await deploy(config())
      for (const key of ['', 'x'.repeat(1025), 'a\0b']) {
        const { status, text } = await guest.get('/set', { bucket: 'odd', key, value: 'v' })
        assert.equal(status, 502)
        assert.match(text, /a key is 1 to 1024 bytes/)
      }
    })

    test('concurrent increments lose none', async () => {
      await using guest = await deploy(config(), { poolSize: 4, replicas: 2 })
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => guest.get('/increment', { bucket: 'counts', key: 'n', delta: '3' })),
      )
      assert.deepEqual(
        answers.map(({ text }) => Number(text)).sort((a, b) => a - b),
        Array.from({ length: 20 }, (_, i) => 3 * (i + 1)),
      )
      await guest.get('/delete', { bucket: 'counts', key: 'n' })
      assert.equal((await guest.get('/increment', { bucket: 'counts', key: 'n', delta: '1' })).text, '1')
      await guest.get('/set', { bucket: 'counts', key: 'text', value: 'no number' })
      const refused = await guest.get('/increment', { bucket: 'counts', key: 'text', delta: '1' })
      assert.match(refused.text, /is not a counter/)
    })

    test('many keys at once, in their order', async () => {
      await using guest = await deploy(config())
      const many = Array.from({ length: 200 }, (_, index) => `k${index}`).join(',')
      assert.equal((await guest.get('/set-many', { bucket: 'many', key: many, value: 'v' })).status, 200)
      const found = JSON.parse((await guest.get('/get-many', { bucket: 'many', key: 'k7,absent,k3' })).text)
      assert.deepEqual(found, [['k7', 'v'], null, ['k3', 'v']])
      assert.equal((await guest.get('/delete-many', { bucket: 'many', key: 'k7,absent' })).status, 200)
      const left = JSON.parse((await guest.get('/get-many', { bucket: 'many', key: 'k7,k3' })).text)
      assert.deepEqual(left, [null, ['k3', 'v']])
    })

    test('keys are listed in pages', async () => {
      await using guest = await deploy(config())
      for (let from = 0; from < 2500; from += 500) {
        const keys = Array.from({ length: 500 }, (_, index) => `page-${from + index}`).join(',')
        assert.equal((await guest.get('/set-many', { bucket: 'pages', key: keys, value: 'v' })).status, 200)
      }
      const seen = new Set<string>()
      let cursor: number | null = 0
      for (let pages = 0; cursor !== null; pages++) {
        assert.ok(pages < 50)
        const query: Record<string, string> = cursor === 0 ? {} : { cursor: String(cursor) }
        const page = JSON.parse((await guest.get('/list', { bucket: 'pages', ...query })).text)
        for (const key of page.keys) seen.add(key)
        cursor = page.cursor
      }
      assert.equal(seen.size, 2500)
    })

    test('a value larger than the entry allows is refused', async () => {
      await using guest = await deploy(`${config()}, max-value-bytes: "10"`)
      assert.equal((await guest.get('/set', { bucket: 'small', key: 'a', value: '0123456789' })).status, 200)
      assert.match(
        (await guest.get('/set', { bucket: 'small', key: 'a', value: '0123456789x' })).text,
        /at most 10 bytes/,
      )
    })

    test('namespaces cannot reach each other’s buckets, whatever name they try', async () => {
      await using mine = await deploy(config(), { namespace: 'mine' })
      await mine.get('/set', { bucket: 'private', key: 'a', value: 'mine' })
      await using other = await deploy(config(), { namespace: 'other' })
      for (const bucket of [
        'private',
        'herald_mine_private',
        '../mine/private',
        'mine_private',
        'KV_herald_mine_private',
      ]) {
        assert.equal((await other.get('/get', { bucket, key: 'a' })).status, 404, bucket)
      }
      await using neighbour = await deploy(config(), { namespace: 'mine', name: 'neighbour' })
      assert.equal((await neighbour.get('/get', { bucket: 'private', key: 'a' })).text, 'mine')
    })

    test('with scope: workload not even workloads of one namespace share', async () => {
      await using one = await deploy(`${config()}, scope: workload`, { name: 'one.a' })
      await using two = await deploy(`${config()}, scope: workload`, { name: 'two' })
      await one.get('/set', { bucket: 'own', key: 'a', value: '1' })
      assert.equal((await one.get('/get', { bucket: 'own', key: 'a' })).text, '1')
      assert.equal((await two.get('/get', { bucket: 'own', key: 'a' })).status, 404)
    })

    test('a bucket that the manifest names is shared by those who name it, and is the only one', async () => {
      await using one = await deploy(`${config()}, bucket: common`, { namespace: 'n1' })
      await using two = await deploy(`${config()}, bucket: common`, { namespace: 'n2' })
      await one.get('/set', { bucket: 'common', key: 'a', value: 'shared' })
      assert.equal((await two.get('/get', { bucket: '', key: 'a' })).text, 'shared')
      assert.deepEqual(await two.get('/get', { bucket: 'another', key: 'a' }), { status: 404, text: 'no such store\n' })
    })
  })
}

test('named entries are instances of their own, and what has no name goes to the entry without one', async () => {
  await using guest = await house.deploy({
    component: 'keyvalue-c',
    interfaces: [
      entry('backend: nats', { name: 'orders' }),
      entry(configs.redis(), { name: 'cache', interfaces: 'store' }),
      entry('backend: in-memory'),
    ],
  })
  for (const bucket of ['orders', 'cache', 'anything']) await guest.get('/set', { bucket, key: 'where', value: bucket })
  for (const bucket of ['orders', 'cache', 'anything']) {
    assert.equal((await guest.get('/get', { bucket, key: 'where' })).text, bucket)
  }
  const connection = await connect({ servers: nats.url })
  const kv = await connection.jetstream().views.kv('herald_shop_orders', { bindOnly: true })
  assert.equal((await kv.get('where'))?.string(), 'orders')
  await connection.close()
  const client = await createClient({ url: redis.url, password }).connect()
  assert.equal(await client.get('herald_shop_cache:where'), 'cache')
  client.destroy()
  assert.equal((await guest.get('/increment', { bucket: 'cache', key: 'n', delta: '1' })).status, 403)
})

test('with named entries only, another name is no store', async () => {
  await using guest = await house.deploy({
    component: 'keyvalue-c',
    interfaces: [entry('backend: in-memory', { name: 'only' })],
  })
  assert.equal((await guest.get('/set', { bucket: 'only', key: 'a', value: 'x' })).status, 200)
  assert.deepEqual(await guest.get('/get', { bucket: 'other', key: 'a' }), { status: 404, text: 'no such store\n' })
})

test('the prefix of a Redis entry is the one of other programs', async () => {
  const client = await createClient({ url: redis.url, password }).connect()
  await client.set('legacy:greeting', 'hello')
  await using guest = await deploy(`${configs.redis()}, prefix: "legacy:"`)
  assert.equal((await guest.get('/get', { bucket: 'any', key: 'greeting' })).text, 'hello')
  client.destroy()
})

test('in memory, a bucket is full at max-bytes', async () => {
  await using guest = await deploy('backend: in-memory, max-bytes: "100"', { namespace: 'full' })
  assert.equal((await guest.get('/set', { bucket: 'b', key: 'a', value: 'x'.repeat(90) })).status, 200)
  assert.match((await guest.get('/set', { bucket: 'b', key: 'b', value: 'x'.repeat(90) })).text, /the bucket is full/)
  assert.equal((await guest.get('/set', { bucket: 'b', key: 'a', value: 'y'.repeat(50) })).status, 200)
})

test('a bucket in memory goes with the last workload that uses it', async () => {
  await using first = await deploy('backend: in-memory', { namespace: 'brief' })
  await first.get('/set', { bucket: 'b', key: 'a', value: 'x' })
  await first[Symbol.asyncDispose]()
  await using second = await deploy('backend: in-memory', { namespace: 'brief' })
  assert.equal((await second.get('/get', { bucket: 'b', key: 'a' })).status, 404)
})

test('a symbolic link planted in a bucket leads nowhere', async () => {
  await using guest = await deploy(configs.filesystem(), { namespace: 'links' })
  await guest.get('/set', { bucket: 'b', key: 'a', value: 'x' })
  const bucket = join(directory, 'herald_links_b')
  symlinkSync('/etc/hostname', join(bucket, 'evil'))
  const { status, text } = await guest.get('/get', { bucket: 'b', key: 'evil' })
  assert.equal(status, 502)
  assert.ok(!text.includes(readFileSync('/etc/hostname', 'utf8').trim()))
  assert.equal((await guest.get('/set', { bucket: 'b', key: 'evil', value: 'mine' })).status, 200)
  assert.equal((await guest.get('/get', { bucket: 'b', key: 'evil' })).text, 'mine')
  mkdirSync(join(directory, 'elsewhere'))
  symlinkSync(join(directory, 'elsewhere'), join(directory, 'herald_links_c'))
  assert.equal((await guest.get('/set', { bucket: 'c', key: 'a', value: 'x' })).status, 502)
})

test('while Redis is away the guest is told so, and it works again once it is back', async () => {
  await using guest = await deploy(configs.redis(), { namespace: 'away' })
  assert.equal((await guest.get('/set', { bucket: 'b', key: 'a', value: 'x' })).status, 200)
  await redis.kill()
  const { status, text } = await guest.get('/get', { bucket: 'b', key: 'a' })
  assert.deepEqual({ status, text }, { status: 502, text: 'the store cannot be reached: try again later' })
  await redis.restart()
  await eventually(async () => assert.equal((await guest.get('/get', { bucket: 'b', key: 'a' })).status, 404))
})

test('while NATS is away the guest is told so, and finds its values once it is back', async () => {
  await using guest = await deploy(configs.nats(), { namespace: 'away' })
  assert.equal((await guest.get('/set', { bucket: 'b', key: 'a', value: 'kept' })).status, 200)
  await nats.kill()
  const { status, text } = await guest.get('/get', { bucket: 'b', key: 'a' })
  assert.equal(status, 502)
  assert.match(text, /cannot be reached|failed/)
  await nats.restart()
  await eventually(async () => assert.equal((await guest.get('/get', { bucket: 'b', key: 'a' })).text, 'kept'))
})

test('no password reaches a log', () => {
  assert.ok(!JSON.stringify(house.records()).includes(password))
})

test('it is refused to a workload that does not list it, or lists other interfaces', async () => {
  const denied = (error: unknown) => isHeraldError(error, 'ERR_WORKLOAD_IMPORT_DENIED')
  await assert.rejects(house.deploy({ component: 'keyvalue-c' }), denied)
  const interfaces = [entry('backend: in-memory', { interfaces: 'store' })]
  await assert.rejects(house.deploy({ component: 'keyvalue-c', interfaces }), denied)
})

for (const wrong of [
  'backend: etcd',
  'backend: redis',
  'backend: redis, url: "http://127.0.0.1"',
  'backend: redis, url: "redis://127.0.0.1/../x"',
  'backend: nats, url: "nats://x"',
  'backend: filesystem',
  'backend: filesystem, root: /etc',
  'backend: filesystem, root: relative',
  'backend: in-memory, bucket: "a b"',
  'backend: in-memory, bucket: herald_other_x',
  'backend: in-memory, bucket: a, scope: namespace',
  'backend: nats, replicas: "9"',
  'bucketname: a',
]) {
  test(`it is refused with ${wrong}`, async () => {
    await assert.rejects(deploy(wrong), (error) => isHeraldError(error, 'ERR_CAPABILITY_CONFIG'))
  })
}

test('a Redis that is not there, or refuses the password, is named at deploy', async () => {
  for (const config of [
    `backend: redis, url: "redis://127.0.0.1:1"`,
    `backend: redis, url: "${redis.url}", password: wrong`,
  ]) {
    await assert.rejects(deploy(config), (error) => isHeraldError(error, 'ERR_CAPABILITY_UNAVAILABLE'))
  }
})

async function eventually(check: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await check()
    } catch (error) {
      if (tries > 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
