// Imports of one interface under labels of the component's own, `(implements "…")` of the component model, with a component that the toolchain built.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from '@bytecodealliance/jco'
import { createHeraldIdentityCapability } from '../../src/capabilities/herald-identity/herald-identity-capability.ts'
import { createKeyvalueCapability } from '../../src/capabilities/keyvalue/keyvalue-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createEngine } from '../../src/engine/create-engine.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import type { ComponentIdentity } from '../../src/identity/svid-source.ts'
import { callerInterface, callGuests } from '../calls/calls-house.ts'
import { type CapabilityHouse, type HouseWorkload, openCapabilityHouse } from '../capabilities/capability-house.ts'
import { guestInC, watComponent } from '../engine/guests/build-guest.ts'

const labels = guestInC(join(import.meta.dirname, 'guests'), 'labels')
/** As components are written that import a stream of WASI under a label. */
const labelledWasi = watComponent(
  '(module (import "mine" "now" (func $now (result i64))) (func (export "wasi:cli/run@0.2.0#run") (result i32) (drop (call $now)) (i32.const 0)))',
  `package test:guest;
package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }
package wasi:cli@0.2.0 { interface run { run: func() -> result; } }
world guest { import mine: wasi:clocks/monotonic-clock@0.2.0; export wasi:cli/run@0.2.0; }`,
  'guest',
)
const keyvalue = (name: string, config: string) =>
  `{namespace: wasi, package: keyvalue, interfaces: [store]${name === '' ? '' : `, name: ${name}`}, config: {backend: in-memory, ${config}}}`
const leftIs = (component: string) =>
  `{namespace: test, package: calls, interfaces: [faults], name: left, config: {component: ${component}}}`
const stores = [keyvalue('', 'bucket: c'), keyvalue('primary', 'bucket: a'), keyvalue('backup', 'bucket: b')]
let house: CapabilityHouse

before(async () => {
  const { callee, twin } = callGuests()
  const guests = { labels, callee, twin, 'labelled-wasi': labelledWasi }
  const identity = { release: () => {} } as ComponentIdentity
  const verifier = { verify: () => assert.fail('not asked') }
  house = await openCapabilityHouse(
    (log) => [
      createKeyvalueCapability({ log, allowedHostPaths: [] }),
      createHeraldIdentityCapability({ svids: { open: () => identity }, verifier, clock: systemClock, log }),
    ],
    { guests },
  )
})
after(() => house[Symbol.asyncDispose]())

const deploy = (interfaces: readonly string[], options: Partial<HouseWorkload> = {}) =>
  house.deploy({
    component: 'labels',
    beside: ['callee', 'twin'],
    poolSize: 1,
    interfaces: [callerInterface, ...interfaces],
    ...options,
  })

async function refusal(...args: Parameters<typeof deploy>): Promise<{ code: string; text: string }> {
  try {
    await using _ = await deploy(...args)
  } catch (error) {
    assert.ok(isHeraldError(error), String(error))
    return { code: error.code, text: `${error.message}\n${error.hint}` }
  }
  return assert.fail('it was deployed')
}

test('the toolchain writes the labels, and the host reads which interface each is', async () => {
  await using engine = createEngine({ log: house.log, clock: systemClock })
  const { imports, glue } = await engine.inspect(await labels)
  const found = imports.filter((each) => each.implements !== undefined)
  assert.deepEqual(
    found.map(({ name, implements: implemented, functions }) => [name, implemented, functions.length]).sort(),
    [
      ['backup', 'wasi:keyvalue/store@0.2.0-draft', 3],
      ['left', 'test:calls/faults@0.1.0', 1],
      ['primary', 'wasi:keyvalue/store@0.2.0-draft', 3],
      ['twin', 'test:calls/faults@0.1.0', 1],
    ],
  )
  assert.deepEqual(glue, { slim: true })
})

test('what else may be said of a name is refused by its name: an external-id', async () => {
  await using engine = createEngine({ log: house.log, clock: systemClock })
  const bytes = await parse('(component (import "mine" (implements "a:b/c") (external-id "x") (instance)))')
  await assert.rejects(engine.inspect(bytes, { quick: true }), {
    code: 'ERR_COMPONENT_INVALID',
    message: /"mine" has an external-id/,
  })
})

test('each label reaches the entry of its name and no other, beside the interface without a label', async () => {
  await using guest = await deploy([...stores, leftIs('callee')])
  for (const at of ['primary', 'backup', 'plain'])
    assert.equal((await guest.get('/set', { at, bucket: '', key: 'k', value: `of ${at}` })).text, 'done')
  for (const at of ['primary', 'backup', 'plain'])
    assert.deepEqual(await guest.get('/get', { at, bucket: '', key: 'k' }), { status: 200, text: `of ${at}` })
  // Without a label an entry is reached by its name, as before; with one there is nothing beside it.
  assert.equal((await guest.get('/get', { at: 'plain', bucket: 'backup', key: 'k' })).text, 'of backup')
  assert.notEqual((await guest.get('/get', { at: 'primary', bucket: 'backup', key: 'k' })).text, 'of backup')
})

test('a label is linked to the component that its entry names, or that has its name', async () => {
  await using guest = await deploy([...stores, leftIs('callee')])
  const ask = async (at: string) => (await guest.get('/refuse', { at })).text
  assert.deepEqual([await ask('left'), await ask('left'), await ask('twin'), await ask('left')], ['1', '2', '1', '3'])
})

test('what a label means must be said, and the refusal says how', async () => {
  const [unnamed = '', primary = ''] = stores
  const missing = await refusal([unnamed, primary, leftIs('callee')])
  assert.equal(missing.code, 'ERR_WORKLOAD_IMPORT_DENIED')
  assert.match(
    missing.text,
    /imports wasi:keyvalue\/store@0\.2\.0-draft as "backup", which its workload lists with other interfaces or another name/,
  )
  assert.match(
    missing.text,
    /\{namespace: wasi, package: keyvalue, interfaces: \[store\], version: 0\.2\.0-draft, name: backup\}/,
  )
  const ambiguous = await refusal(stores)
  assert.equal(ambiguous.code, 'ERR_WORKLOAD_LINK_AMBIGUOUS')
  assert.match(ambiguous.text, /with the name left/)
  const alone = await refusal(stores, { beside: [] })
  assert.equal(alone.code, 'ERR_COMPONENT_IMPORT_UNKNOWN')
  assert.match(alone.text, /test:calls\/faults@0\.1\.0 as "left"/)
  const own = await refusal([], { component: 'labelled-wasi', beside: [] })
  assert.equal(own.code, 'ERR_COMPONENT_IMPORT_UNKNOWN')
  assert.match(own.text, /wasi:clocks\/monotonic-clock@0\.2\.0 as "mine".*\n.*import that without a label/)
})
