import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createBlobstoreCapability } from '../../src/capabilities/blobstore/blobstore-capability.ts'
import { openCapability } from '../../src/capabilities/blobstore/blobstore-cell.ts'
import type { CellBinding, InstanceStreams, PulledBytes } from '../../src/capabilities/capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createDevelopmentAuthority } from '../../src/identity/development/development-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { connectLattice } from '../../src/lattice/connect-lattice.ts'
import { createLog } from '../../src/observability/log.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Large objects against the real stores, through the cell's own half of the capability; only the guest and its streams are played.
const cleanup = new AsyncDisposableStack()
let directory: string
let minio: Minio
let capability: ReturnType<typeof createBlobstoreCapability>

before(async () => {
  directory = cleanup.use(temporaryDirectory()).path
  const nats = cleanup.use(await startNats({ jetstream: true }))
  const log = createLog({ level: 'silent' })
  const authority = cleanup.use(await createDevelopmentAuthority({ log, clock: systemClock, inKubernetes: false }))
  const svids = cleanup.use(createSvidSource({ authority, clock: systemClock, log }))
  minio = cleanup.use(await startMinio({ oidcConfigUrl: `${authority.issuer}/.well-known/openid-configuration` }))
  await minio.makeBucket('blobs')
  const lattice = cleanup.use(
    connectLattice({ servers: [nats.url], name: 'storage', log, clock: systemClock, drainTimeoutMs: 100 }),
  )
  capability = cleanup.use(
    createBlobstoreCapability({
      ...{ log, clock: systemClock, fetch, svids, lattice: () => lattice, allowedHostPaths: [directory] },
    }),
  )
})
after(() => cleanup.disposeAsync())

const configs = {
  filesystem: () => ({ backend: 'filesystem', root: directory }),
  nats: () => ({ backend: 'nats' }),
  s3: () => ({
    ...{ backend: 's3', bucket: 'blobs', endpoint: minio.endpoint, 'sts-endpoint': minio.endpoint },
    ...{ region: 'us-east-1', 'role-arn': minio.roleArn },
  }),
}

type Sink = Parameters<InstanceStreams['output']>[0]
// biome-ignore lint/suspicious/noExplicitAny: called as a guest calls it
type Guest = Record<string, any>

/** What a guest imports, with streams that a test can look into. */
async function openGuest(config: Record<string, string>) {
  const binding: CellBinding = await capability.configure(
    {
      ...{ lattice: 'default', namespace: 'shop', workloadName: 'w', workloadId: 'w', componentName: 'c' },
      ...{ image: 'file:///c', imageDigest: `sha256:${'0'.repeat(64)}`, environment: undefined, hostLabels: {} },
    },
    [{ namespace: 'wasi', package: 'blobstore', version: undefined, interfaces: [], name: undefined, config }],
    { signal: AbortSignal.timeout(30_000) },
  )
  binding.attach(() => {})
  const ending = new AbortController()
  const calls: string[] = []
  const cell = openCapability(binding.config, {
    async request(method, payload) {
      calls.push(method)
      // As between threads: nothing is shared.
      return structuredClone(await binding.handle(method, structuredClone(payload), { signal: ending.signal }))
    },
    onMessage() {},
  })
  const sinks: Sink[] = []
  const sources: PulledBytes[] = []
  const guest = cell.prepare({
    signal: ending.signal,
    streams: {
      output: (sink) => sinks.push(sink) as never,
      input: (source) => sources.push(source as PulledBytes) as never,
    },
  }) as Guest
  const { OutgoingValue, IncomingValue } = guest['wasi:blobstore/types']
  return {
    calls,
    OutgoingValue,
    IncomingValue,
    blobstore: guest['wasi:blobstore/blobstore'],
    end: () => ending.abort(),
    sink(value: Guest): Sink {
      value.outgoingValueWriteBody()
      return sinks.at(-1)!
    },
    source(value: Guest): PulledBytes {
      IncomingValue.incomingValueConsumeAsync(value)
      return sources.at(-1)!
    },
    async [Symbol.asyncDispose]() {
      ending.abort()
      binding.release()
    },
  }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
/** Bytes outside the heap that are still in use. What a collection found is freed by another thread, and counted after the next one. */
async function held(): Promise<number> {
  for (let count = 0; count < 2; count++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().arrayBuffers
}

const sizeBytes = 64 * 2 ** 20
const most = 0xffffffffffffffffn

for (const [backend, config] of Object.entries(configs)) {
  test(`64 MiB go to ${backend} and come back a piece at a time, in bounded memory`, async (t) => {
    await using guest = await openGuest(config())
    const container = await guest.blobstore.createContainer('large')
    const value = guest.OutgoingValue.newOutgoingValue()
    await container.writeData('object', value)
    const sink = guest.sink(value)
    // Not a divisor of any size of a piece.
    const chunk = randomBytes(250_007)
    const sent = createHash('sha256')
    const baseline = await held()
    let peak = 0
    let waits = 0
    for (let left = sizeBytes, count = 0; left > 0; count++) {
      const bytes = chunk.subarray(0, Math.min(chunk.length, left))
      sent.update(bytes)
      left -= bytes.length
      const taken = sink.write(bytes)
      if (taken !== undefined) {
        waits++
        await taken
      }
      if (count % 128 === 127) peak = Math.max(peak, (await held()) - baseline)
    }
    sink.close()
    await guest.OutgoingValue.finish(value)
    assert.ok(waits > 100, 'the guest had to wait for the store')
    assert.equal((await container.objectInfo('object')).size, BigInt(sizeBytes))

    const incoming = await container.getData('object', 0n, most)
    assert.equal(incoming.size(), BigInt(sizeBytes))
    const source = guest.source(incoming)
    const got = createHash('sha256')
    let pieces = 0
    for (let piece = await source.read(); piece !== undefined; piece = await source.read()) {
      got.update(piece)
      assert.ok(piece.length <= 256 * 1024)
      if (++pieces % 128 === 127) peak = Math.max(peak, (await held()) - baseline)
    }
    source.close()
    assert.equal(got.digest('hex'), sent.digest('hex'))
    t.diagnostic(`${backend}: at most ${(peak / 2 ** 20).toFixed(1)} MiB were held beyond what was before`)
    assert.ok(peak < 32 * 2 ** 20, `${peak} bytes`)
    // A part from the middle, had whole.
    const part = await container.getData('object', 1_000_000n, 1_299_999n)
    assert.equal((await guest.IncomingValue.incomingValueConsumeSync(part)).length, 300_000)
    await guest.blobstore.copyObject({ container: 'large', object: 'object' }, { container: 'large', object: 'copy' })
    assert.equal((await container.objectInfo('copy')).size, BigInt(sizeBytes))
    await guest.blobstore.deleteContainer('large')
  })

  test(`what is given up while it is written to ${backend} does not come to be`, async () => {
    await using guest = await openGuest(config())
    const container = await guest.blobstore.createContainer('given-up')
    const write = async (name: string) => {
      const value = guest.OutgoingValue.newOutgoingValue()
      await container.writeData(name, value)
      const sink = guest.sink(value)
      for (let count = 0; count < 12; count++) await sink.write(randomBytes(1_000_000))
      return value
    }
    const dropped = await write('dropped')
    dropped[Symbol.dispose]()
    await write('left')
    // The instance ends with one of its objects half written.
    guest.end()
    await using later = await openGuest(config())
    const found = await later.blobstore.getContainer('given-up')
    const endMs = Date.now() + 10_000
    const leftovers = () =>
      backend === 'filesystem' ? readdirSync(join(directory, 'herald_shop_given-up')).filter((name) => name !== '') : []
    while (leftovers().length > 0) {
      assert.ok(Date.now() < endMs, `nothing is left behind: ${leftovers()}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(await found.hasObject('dropped'), false)
    assert.equal(await found.hasObject('left'), false)
    await later.blobstore.deleteContainer('given-up')
  })
}

test('a small object takes one question each way, and a name that comes after the body is taken too', async () => {
  await using guest = await openGuest({ backend: 'in-memory' })
  const container = await guest.blobstore.createContainer('small')
  const value = guest.OutgoingValue.newOutgoingValue()
  const sink = guest.sink(value)
  for (let count = 0; count < 5; count++) assert.equal(sink.write(Buffer.alloc(100_000, 'x')), undefined)
  sink.close()
  await container.writeData('late', value)
  assert.equal((await container.objectInfo('late')).size, 500_000n)
  const before = guest.calls.length
  const tiny = guest.OutgoingValue.newOutgoingValue()
  guest.sink(tiny).write(Buffer.from('tiny'))
  await container.writeData('tiny', tiny)
  await guest.OutgoingValue.finish(tiny)
  const got = await guest.IncomingValue.incomingValueConsumeSync(await container.getData('tiny', 0n, most))
  assert.equal(Buffer.from(got).toString(), 'tiny')
  assert.deepEqual(guest.calls.slice(before), ['write', 'read'])
})

test('an object larger than the entry allows is refused on the control thread too, and read as a stream only', async () => {
  await using guest = await openGuest({ backend: 'in-memory', 'max-object-bytes': '600000' })
  const container = await guest.blobstore.createContainer('limits')
  const value = guest.OutgoingValue.newOutgoingValue()
  await container.writeData('a', value)
  const sink = guest.sink(value)
  await sink.write(Buffer.alloc(600_000))
  assert.throws(() => sink.write(Buffer.alloc(1)), /at most 600000 bytes/)
  await guest.OutgoingValue.finish(value)
  await using small = await openGuest({ backend: 'in-memory', 'max-object-bytes': '1000' })
  const same = await small.blobstore.getContainer('limits')
  const whole = await same.getData('a', 0n, most)
  await assert.rejects(small.IncomingValue.incomingValueConsumeSync(whole), (error) =>
    /more than 1000 bytes cannot be had at once/.test(String((error as { payload?: unknown }).payload ?? error)),
  )
  const source = small.source(await same.getData('a', 0n, most))
  assert.ok(((await source.read())?.length ?? 0) > 1_000)
  source.close()
})
