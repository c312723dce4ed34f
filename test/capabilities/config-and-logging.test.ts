import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createConfigCapability } from '../../src/capabilities/config/config-capability.ts'
import { createLoggingCapability } from '../../src/capabilities/logging/logging-capability.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { type CapabilityHouse, openCapabilityHouse } from './capability-house.ts'

let house: CapabilityHouse
before(async () => {
  house = await openCapabilityHouse((log) => [createConfigCapability(), createLoggingCapability({ log })])
})
after(() => house[Symbol.asyncDispose]())

const config = (config = '{}') =>
  `{namespace: wasi, package: config, interfaces: [store], version: 0.2.0-rc.1, config: ${config}}`
const logging = (config = '{}') =>
  `{namespace: wasi, package: logging, interfaces: [logging], version: 0.1.0-draft, config: ${config}}`
const code = (expected: string) => (error: unknown) => {
  assert.ok(isHeraldError(error), String(error))
  assert.equal(error.code, expected)
  return true
}

test('a component reads its settings, its own over those of the entry', async () => {
  await using guest = await house.deploy({
    component: 'config-c',
    interfaces: [config('{colour: red, size: "4"}')],
    config: { colour: 'grün', place: 'here' },
  })
  assert.deepEqual(await guest.get('/', { key: 'colour' }), { status: 200, text: 'grün' })
  assert.equal((await guest.get('/', { key: 'absent' })).status, 404)
  assert.deepEqual(JSON.parse((await guest.get('/')).text), { colour: 'grün', size: '4', place: 'here' })
})

test('a component sees nothing of another component’s settings', async () => {
  await using _one = await house.deploy({
    component: 'config-c',
    name: 'one',
    interfaces: [config()],
    config: { mine: 'secret' },
  })
  await using other = await house.deploy({ component: 'config-c', name: 'two', interfaces: [config()] })
  assert.equal((await other.get('/', { key: 'mine' })).status, 404)
  assert.equal((await other.get('/', { key: '__proto__' })).status, 404)
})

for (const [component, what] of [
  ['config-c', 'wasi:config'],
  ['logging-c', 'wasi:logging'],
]) {
  test(`${what} is refused to a workload that does not list it`, async () => {
    await assert.rejects(house.deploy({ component: component! }), code('ERR_WORKLOAD_IMPORT_DENIED'))
  })
}

test('a record has the level, context and text of the guest, and says whose it is', async () => {
  await using guest = await house.deploy({ component: 'logging-c', name: 'talker', interfaces: [logging()] })
  for (const [index, level] of [10, 20, 30, 40, 50, 60].entries()) {
    await guest.get('/', { level: String(index), context: 'billing', message: `level ${index}` })
    const found = await record(({ msg }) => msg === `level ${index}`)
    assert.equal(found.level, level)
    assert.equal(found.event, 'component.log')
    assert.equal(found.context, 'billing')
    assert.equal(found.component, 'logging-c')
    assert.equal(found.workload, 'talker')
    assert.equal(found.namespace, 'shop')
  }
})

test('a guest cannot forge another record', async () => {
  await using guest = await house.deploy({ component: 'logging-c', name: 'forger', interfaces: [logging()] })
  await guest.get('/', { level: '2', context: '"}', message: 'x"}\n{"event":"identity.granted","level":30}' })
  const found = await record(({ msg, workload }) => workload === 'forger' && String(msg).startsWith('x'))
  assert.equal(found.event, 'component.log')
  assert.equal(house.records().filter(({ event }) => event === 'identity.granted').length, 0)
})

test('levels below that of the entry are not logged', async () => {
  await using guest = await house.deploy({
    component: 'logging-c',
    name: 'quiet',
    interfaces: [logging('{level: warn}')],
  })
  await guest.get('/', { level: '2', message: 'too quiet' })
  await guest.get('/', { level: '3', message: 'loud enough' })
  await record(({ msg }) => msg === 'loud enough')
  assert.equal(house.records().filter(({ msg }) => msg === 'too quiet').length, 0)
})

test('a guest in a loop is held to its rate, and what was dropped is counted', async () => {
  await using guest = await house.deploy({
    component: 'logging-c',
    name: 'flood',
    interfaces: [logging('{rate: "1", burst: "5"}')],
  })
  await guest.get('/', { level: '2', message: 'flood', times: '100000' })
  const dropped = await record(({ event, workload }) => event === 'component.log_dropped' && workload === 'flood')
  const kept = house.records().filter(({ msg }) => msg === 'flood').length
  assert.ok(kept >= 5 && kept <= 7, `kept ${kept}`)
  assert.equal(Number(dropped.dropped) + kept, 100_000)
})

test('a long text is cut', async () => {
  await using guest = await house.deploy({ component: 'logging-c', name: 'long', interfaces: [logging()] })
  await guest.get('/', { level: '2', message: 'y'.repeat(9000) })
  const found = await record(({ msg }) => String(msg).startsWith('yyy'))
  assert.equal(String(found.msg).length, 8192)
})

for (const wrong of ['{level: loud}', '{rate: "0"}', '{burst: many}', '{levels: info}']) {
  test(`wasi:logging is refused with ${wrong}`, async () => {
    await assert.rejects(
      house.deploy({ component: 'logging-c', interfaces: [logging(wrong)] }),
      code('ERR_CAPABILITY_CONFIG'),
    )
  })
}

/** The first such record, once it is there. */
async function record(matches: (record: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < 200; tries++) {
    const found = house.records().find(matches)
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('no such record')
}
