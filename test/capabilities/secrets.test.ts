import assert from 'node:assert/strict'
import { mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createSecretsCapability } from '../../src/capabilities/secrets/secrets-capability.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type CapabilityHouse, openCapabilityHouse } from './capability-house.ts'

const cleanup = new AsyncDisposableStack()
let house: CapabilityHouse
let directory: string

before(async () => {
  directory = cleanup.use(temporaryDirectory()).path
  house = cleanup.use(
    await openCapabilityHouse((log) => [createSecretsCapability({ log, allowedHostPaths: [directory] })]),
  )
})
after(() => cleanup.disposeAsync())

const entry = (config: string) =>
  `{namespace: wasmcloud, package: secrets, interfaces: [store, reveal], version: 1.0.0, config: {${config}}}`
const deploy = (config: string) => house.deploy({ component: 'secrets-c', interfaces: [entry(config)] })

/** As the kubelet mounts a Secret: links to a directory that is replaced as a whole. */
function mount(name: string, files: Record<string, string | Uint8Array>) {
  const root = join(directory, name)
  const write = (version: string) => {
    mkdirSync(join(root, version), { recursive: true })
    for (const [file, value] of Object.entries(files)) writeFileSync(join(root, version, file), value)
    symlinkSync(version, join(root, '..data_tmp'))
    renameSync(join(root, '..data_tmp'), join(root, '..data'))
  }
  write('..1')
  for (const file of Object.keys(files)) symlinkSync(join('..data', file), join(root, file))
  return {
    root,
    rotate(next: Record<string, string>) {
      Object.assign(files, next)
      write('..2')
    },
  }
}

test('a component reads the mounted secrets that its entry names, and sees a rotation', async () => {
  const { root, rotate } = mount('db', {
    password: 'first secret',
    cert: new Uint8Array([0xff, 0xfe, 0]),
    other: 'hidden',
  })
  await using guest = await deploy(`root: "${root}", keys: "password, cert, gone"`)
  assert.deepEqual(await guest.get('/reveal', { key: 'password' }), { status: 200, text: 'first secret' })
  assert.equal((await guest.get('/', { key: 'cert' })).text, 'bytes 3')
  rotate({ password: 'second secret' })
  assert.equal((await guest.get('/reveal', { key: 'password' })).text, 'second secret')
  for (const key of [
    'other',
    'gone',
    'unknown',
    '',
    '..data/password',
    '../db/password',
    `${root}/password`,
    '..',
    '.',
    '__proto__',
  ]) {
    assert.deepEqual(await guest.get('/', { key }), { status: 404, text: 'no such secret\n' }, key)
  }
})

test('a link out of the directory is not followed', async () => {
  const { root } = mount('links', { a: 'x' })
  symlinkSync('/etc/hostname', join(root, 'host'))
  await using guest = await deploy(`root: "${root}", keys: host`)
  assert.equal((await guest.get('/', { key: 'host' })).status, 502)
  unlinkSync(join(root, 'host'))
})

test('what secretFrom puts into the entry is there under its key', async () => {
  await using guest = await deploy('token: from-the-platform')
  assert.equal((await guest.get('/reveal', { key: 'token' })).text, 'from-the-platform')
  assert.equal((await guest.get('/', { key: 'root' })).status, 404)
})

test('each grant and refusal is an event, and no value is in any', async () => {
  const { root } = mount('audit', { key: 'very-secret-value' })
  await using guest = await deploy(`root: "${root}", keys: key`)
  await guest.get('/reveal', { key: 'key' })
  await guest.get('/reveal', { key: 'nope' })
  const events = house.records().filter(({ event }) => String(event).startsWith('secrets.'))
  assert.ok(events.some(({ event, key }) => event === 'secrets.granted' && key === 'key'))
  assert.ok(events.some(({ event, key }) => event === 'secrets.refused' && key === 'nope'))
  assert.doesNotMatch(JSON.stringify(house.records()), /very-secret-value|from-the-platform|first secret/)
})

test('it is refused to a workload that does not list it', async () => {
  await assert.rejects(house.deploy({ component: 'secrets-c' }), (error) =>
    isHeraldError(error, 'ERR_WORKLOAD_IMPORT_DENIED'),
  )
})

for (const wrong of ['root: /etc, keys: passwd', 'root: relative, keys: a', 'root: /, keys: "../a"', 'root: "/tmp"']) {
  test(`it is refused with ${wrong}`, async () => {
    await assert.rejects(deploy(wrong), (error) => isHeraldError(error, 'ERR_CAPABILITY_CONFIG'))
  })
}
