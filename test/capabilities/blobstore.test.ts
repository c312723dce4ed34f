import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createBlobstoreCapability } from '../../src/capabilities/blobstore/blobstore-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { createDevelopmentAuthority } from '../../src/identity/development/development-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { connectLattice } from '../../src/lattice/connect-lattice.ts'
import { createLog } from '../../src/observability/log.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import {
  type CapabilityHouse,
  type DeployedWorkload,
  type HouseWorkload,
  openCapabilityHouse,
} from './capability-house.ts'

const cleanup = new AsyncDisposableStack()
let house: CapabilityHouse
let directory: string
let minio: Minio

before(async () => {
  directory = cleanup.use(temporaryDirectory()).path
  const nats = cleanup.use(await startNats({ jetstream: true }))
  const quiet = createLog({ level: 'silent' })
  const authority = cleanup.use(
    await createDevelopmentAuthority({ log: quiet, clock: systemClock, inKubernetes: false }),
  )
  const svids = cleanup.use(createSvidSource({ authority, clock: systemClock, log: quiet }))
  minio = cleanup.use(await startMinio({ oidcConfigUrl: `${authority.issuer}/.well-known/openid-configuration` }))
  await minio.makeBucket('blobs')
  house = await openCapabilityHouse((log) => {
    const lattice = connectLattice({
      servers: [nats.url],
      name: 'storage',
      log,
      clock: systemClock,
      drainTimeoutMs: 100,
    })
    cleanup.use(lattice)
    const allowedHostPaths = [directory]
    return [
      createBlobstoreCapability({ log, clock: systemClock, fetch, svids, lattice: () => lattice, allowedHostPaths }),
    ]
  })
  cleanup.use(house)
})
after(() => cleanup.disposeAsync())

const configs = {
  'in-memory': () => 'backend: in-memory',
  filesystem: () => `backend: filesystem, root: "${directory}"`,
  nats: () => 'backend: nats',
  s3: () =>
    `backend: s3, bucket: blobs, endpoint: "${minio.endpoint}", sts-endpoint: "${minio.endpoint}", region: us-east-1, role-arn: "${minio.roleArn}"`,
}

const entry = (config: string, name = '') =>
  `{namespace: wasi, package: blobstore, interfaces: [blobstore, container], version: 0.2.0-draft, ${name && `name: ${name}, `}config: {${config}}}`
const deploy = (config: string, options: Partial<HouseWorkload> = {}) =>
  house.deploy({ component: 'blobstore-javascript', interfaces: [entry(config)], ...options })

for (const [backend, config] of Object.entries(configs)) {
  describe(backend, () => {
    let guest: DeployedWorkload
    before(async () => {
      guest = await deploy(config())
    })
    after(() => guest[Symbol.asyncDispose]())
    const send = (method: string, path: string, body?: Uint8Array | string) => guest.send(method, path, body)

    test('a container is made, found and removed with what is in it', async () => {
      assert.equal((await send('HEAD', '/box')).status, 404)
      assert.deepEqual((await send('GET', '/box')).text, 'there is no such container\n')
      assert.equal((await send('PUT', '/box')).status, 201)
      assert.equal((await send('PUT', '/box')).text, 'the container is there already\n')
      assert.equal((await send('HEAD', '/box')).status, 200)
      assert.equal((await send('PUT', '/box/a', 'x')).status, 201)
      assert.equal((await send('DELETE', '/box')).status, 200)
      assert.equal((await send('HEAD', '/box')).status, 404)
      assert.equal((await send('PUT', '/box')).status, 201)
      assert.deepEqual(JSON.parse((await send('GET', '/box')).text), [])
    })

    test('what is stored comes back, whole, in part and as a stream', async () => {
      await send('PUT', '/files')
      const bytes = randomBytes(300_000)
      assert.equal((await send('PUT', '/files/big', bytes)).status, 201)
      assert.deepEqual((await send('GET', '/files/big')).bytes, bytes)
      assert.deepEqual((await send('GET', '/files/big?stream')).bytes, bytes)
      assert.deepEqual((await send('GET', '/files/big?start=10&end=19')).bytes, bytes.subarray(10, 20))
      assert.deepEqual((await send('GET', '/files/big?start=299990&end=999999')).bytes, bytes.subarray(299_990))
      assert.equal((await send('GET', '/files/big?start=500000')).bytes.length, 0)
      const { headers } = await send('HEAD', '/files/big')
      assert.equal(headers['x-size'], '300000')
      assert.ok(Math.abs(Number(headers['x-created-at']) - Date.now() / 1000) < 60)
      assert.equal((await send('PUT', '/files/big', 'short')).status, 201)
      assert.equal((await send('GET', '/files/big')).text, 'short')
      assert.equal((await send('PUT', '/files/empty', '')).status, 201)
      assert.equal((await send('GET', '/files/empty')).bytes.length, 0)
      assert.equal((await send('GET', '/files/absent')).text, 'there is no such object\n')
      assert.equal((await send('DELETE', '/files/big')).status, 200)
      assert.equal((await send('DELETE', '/files/big')).status, 200)
      assert.deepEqual(JSON.parse((await send('GET', '/files')).text), ['empty'])
    })

    test('objects are copied and moved between containers', async () => {
      await send('PUT', '/from')
      await send('PUT', '/to')
      await send('PUT', '/from/a', 'content')
      assert.equal((await send('POST', '/from/a?to=to/b')).status, 200)
      assert.equal((await send('POST', '/from/a?to=to/c&move')).status, 200)
      assert.deepEqual(JSON.parse((await send('GET', '/to')).text).sort(), ['b', 'c'])
      assert.deepEqual(JSON.parse((await send('GET', '/from')).text), [])
      assert.equal((await send('POST', '/to/b?to=to/b&move')).status, 200)
      assert.equal((await send('GET', '/to/b')).text, 'content')
      assert.equal((await send('POST', '/to/b?to=nowhere/b')).text, 'there is no such container\n')
    })

    test('hostile names are names like any other', async () => {
      await send('PUT', '/odd')
      const names = [
        'a b',
        'ü',
        '漢字 €',
        '*',
        '>',
        '%2e',
        'x/y/z',
        '"',
        '<Key>&amp;',
        'a+b',
        '__proto__',
        '...',
        'a?b#c',
        'a\\b',
      ]
      for (const name of names) {
        const path = `/odd/${name.split('/').map(encodeURIComponent).join('/')}`
        assert.equal((await send('PUT', path, `in ${name}`)).status, 201, name)
        assert.equal((await send('GET', path)).text, `in ${name}`)
      }
      assert.deepEqual(JSON.parse((await send('GET', '/odd')).text).sort(), [...names].sort())
      const { status } = await send('PUT', `/odd/${'x'.repeat(1025)}`, 'x')
      assert.equal(status, 409)
    })

    test('namespaces cannot reach each other’s containers, whatever name they try', async () => {
      await using other = await deploy(config(), { namespace: 'other' })
      await send('PUT', '/private')
      await send('PUT', '/private/a', 'mine')
      for (const name of [
        'private',
        'herald_shop_private',
        '..%2Fshop%2Fprivate',
        'OBJ_herald_shop_private',
        '%2e%2e',
      ]) {
        const { status } = await other.send('GET', `/${name}/a`)
        assert.notEqual(status, 200, name)
      }
    })
  })
}

test('an object larger than the entry allows is refused while it is written', async () => {
  await using guest = await deploy('backend: in-memory, max-object-bytes: "1000"')
  await guest.send('PUT', '/c')
  assert.equal((await guest.send('PUT', '/c/a', 'x'.repeat(1000))).status, 201)
  const { status } = await guest.send('PUT', '/c/b', 'x'.repeat(100_000))
  assert.notEqual(status, 201)
  assert.deepEqual(JSON.parse((await guest.send('GET', '/c')).text), ['a'])
})

test('named entries are instances of their own', async () => {
  await using guest = await house.deploy({
    component: 'blobstore-javascript',
    interfaces: [entry('backend: nats', 'durable'), entry(configs.filesystem(), 'local'), entry('backend: in-memory')],
  })
  for (const name of ['durable', 'local', 'other']) {
    await guest.send('PUT', `/${name}`)
    assert.equal((await guest.send('PUT', `/${name}/a`, name)).status, 201)
  }
  for (const name of ['durable', 'local', 'other']) assert.equal((await guest.send('GET', `/${name}/a`)).text, name)
  assert.ok(existsSync(join(directory, 'herald_shop_local', 'a')))
})

test('a link planted in the place of a container or an object leads nowhere', async () => {
  await using guest = await deploy(configs.filesystem(), { namespace: 'links' })
  symlinkSync('/etc', join(directory, 'herald_links_etc'))
  assert.equal((await guest.send('GET', '/etc/hostname')).status, 409)
  await guest.send('PUT', '/real')
  symlinkSync('/etc/hostname', join(directory, 'herald_links_real', 'evil'))
  assert.equal((await guest.send('GET', '/real/evil')).status, 409)
})

test('neither keys nor tokens reach a log', () => {
  const text = JSON.stringify(house.records())
  assert.doesNotMatch(text, /eyJ[\w-]+\.[\w-]+\.|AWS4-HMAC|SecretAccessKey/)
})

test('it is refused to a workload that does not list it', async () => {
  await assert.rejects(house.deploy({ component: 'blobstore-javascript' }), (error) =>
    isHeraldError(error, 'ERR_WORKLOAD_IMPORT_DENIED'),
  )
})

for (const wrong of [
  'backend: azure',
  'backend: filesystem, root: /etc',
  'backend: s3, region: us-east-1, role-arn: "arn:aws:iam::1:role/x"',
  'backend: s3, bucket: blobs, region: us-east-1, role-arn: "arn:aws:iam::1:role/x", endpoint: "http://10.0.0.1"',
  'backend: s3, bucket: blobs, region: us-east-1',
  'backend: in-memory, endpoint: "https://x"',
]) {
  test(`it is refused with ${wrong}`, async () => {
    await assert.rejects(deploy(wrong), (error) => {
      assert.ok(isHeraldError(error), String(error))
      return error.code === 'ERR_CAPABILITY_CONFIG' || error.code === 'ERR_FEDERATION_BINDING_INVALID'
    })
  })
}
