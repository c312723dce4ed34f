import assert from 'node:assert/strict'
import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Lane, type ToCell } from '../../src/engine/http-channel.ts'
import { checkCellMessage } from '../../src/engine/process/check-cell-message.ts'
import { FrameStream } from '../../src/engine/process/frame-stream.ts'
import { LaneGuard } from '../../src/engine/process/lane-guard.ts'
import { MirroredMemories } from '../../src/engine/process/mirrored-memories.ts'
import { grantsOf, permissionFlags } from '../../src/engine/process/process-grants.ts'
import { putMemories, takeMemories } from '../../src/engine/process/shared-places.ts'

const request = (id: number): ToCell => [Lane.request, id, 'GET', 'http', 'a', '/', [], undefined, false]
const head = (id: number, ended = false) => [Lane.head, id, 200, ['a', 'b'], undefined, ended, undefined]

describe('what a process says on a lane', () => {
  test('passes as long as a cell would say it', () => {
    const guard = new LaneGuard()
    guard.sent([request(1), request(2)])
    const batch = [
      head(1),
      [Lane.data, 1, new Uint8Array(10)],
      [Lane.end, 1, ['x', 'y']],
      [Lane.fail, 2, 500, 'ERR_COMPONENT_TRAP', 'it failed'],
    ]
    assert.deepEqual(guard.received(batch), batch)
  })

  test('is left out when its request is unknown, ended or given up', () => {
    const guard = new LaneGuard()
    guard.sent([request(1), request(2), [Lane.abort, 2, 'gone']])
    guard.received([head(1, true)])
    assert.deepEqual(guard.received([head(1), [Lane.data, 1, 'x'], head(2), head(3), [99, 7]]), [])
  })

  const long = new Uint8Array(2 * 1024 * 1024)
  for (const [what, ...said] of [
    ['no list', 'text'],
    ['a second head', [head(1), head(1)]],
    ['a body before its head', [[Lane.data, 1, new Uint8Array(1)]]],
    ['an end before its head', [[Lane.end, 1, undefined]]],
    ['a failure after its head', [head(1), [Lane.fail, 1, 500, 'ERR_X', '']]],
    ['a status that is none', [[Lane.head, 1, 20, [], undefined, true, undefined]]],
    ['a header without a value', [[Lane.head, 1, 200, ['a'], undefined, true, undefined]]],
    ['headers that are no text', [[Lane.head, 1, 200, ['a', 1], undefined, true, undefined]]],
    ['a body that is no bytes', [[Lane.head, 1, 200, [], {}, true, undefined]]],
    ['a code that is none', [[Lane.fail, 1, 500, 'x', '']]],
    ['a success as a failure', [[Lane.fail, 1, 200, 'ERR_X', '']]],
    ['credit for what it never got', [[Lane.credit, 1, 1]]],
    ['more than its window', [head(1), [Lane.data, 1, long]]],
    ['an unknown kind', [[99, 1]]],
  ] as const) {
    test(`is refused when it is ${what}`, () => {
      const guard = new LaneGuard()
      guard.sent([request(1)])
      assert.throws(() => guard.received(said[0]), TypeError)
    })
  }
})

describe('what a process says to the control thread', () => {
  for (const message of [
    { kind: 'ready' },
    { kind: 'output', component: 'a', stream: 'stdout', text: 'b' },
    { kind: 'listening', id: 1, port: 80 },
    { kind: 'run-ended', id: 1, exitCode: 0 },
    { kind: 'call-ended', id: 1, result: { ok: 5n } },
    { kind: 'capability-request', id: 1, component: 'a', binding: 0, method: 'get', payload: undefined },
  ]) {
    test(`passes when it is ${message.kind}`, () => assert.deepEqual(checkCellMessage(message), message))
  }

  for (const message of [
    undefined,
    'ready',
    { kind: '__proto__' },
    { kind: 'toString' },
    { kind: 'output', component: 'a', stream: 'stdin', text: 'b' },
    { kind: 'trap', component: 'a', reason: 7 },
    { kind: 'capability-request', id: 1, component: 'a', binding: -1, method: 'get' },
    { kind: 'requests', points: [{ attributes: {}, counts: ['x'], count: 1, sumS: 1 }] },
    { kind: 'spans', spans: [{ traceId: 'x' }] },
    { kind: 'sent', component: 'guest', hosts: [['a.example', 0.5]] },
  ]) {
    test(`is refused when it is ${JSON.stringify(message)}`, () => assert.throws(() => checkCellMessage(message)))
  }
})

describe('frames', () => {
  function pair(maxFrameBytes?: number) {
    const [here, there] = duplexPair()
    const received: unknown[] = []
    const ended = Promise.withResolvers<string | undefined>()
    const frames = new FrameStream(here, { onFrame: () => {}, onEnd: () => {} })
    new FrameStream(there, {
      onFrame: (value) => received.push(value),
      onEnd: ended.resolve,
      ...(maxFrameBytes !== undefined && { maxFrameBytes }),
    })
    return { here, frames, received, ended: ended.promise }
  }

  test('carry what structured clone knows, in order, whatever their size', async () => {
    const { frames, received, ended } = pair()
    const values = [
      'text',
      { big: 1n, bytes: new Uint8Array([1, 2]), map: new Map([[1, undefined]]) },
      'x'.repeat(300_000),
    ]
    for (const value of values) frames.send(value)
    frames.close()
    assert.equal(await ended, undefined)
    assert.deepEqual(received, values)
  })

  test('that are too long end the stream with a reason', async () => {
    const { frames, received, ended } = pair(1_000)
    frames.send('short')
    frames.send('x'.repeat(2_000))
    assert.match(String(await ended), /at most 1000/)
    assert.deepEqual(received, ['short'])
  })

  test('that cannot be read end the stream with a reason', async () => {
    const { here, ended } = pair()
    here.write(Buffer.from([3, 0, 0, 0, 1, 2, 3]))
    assert.match(String(await ended), /cannot be read/)
    here.destroy()
    await once(here, 'close')
  })
})

test('memories that two processes cannot share come to the same sums, whoever adds in the meantime', () => {
  const [here, there] = [new SharedArrayBuffer(8), new SharedArrayBuffer(8)]
  const [ours, theirs] = [new Int32Array(here), new Int32Array(there)]
  ours[1] = theirs[1] = 5
  const [left, right] = [new MirroredMemories(), new MirroredMemories()]
  left.add(here)
  right.add(there)
  assert.equal(left.collect(), undefined)
  ours[0] = 3
  theirs[0] = 4
  theirs[1] = 0
  const [fromLeft, fromRight] = [left.collect()!, right.collect()!]
  left.apply(fromRight)
  right.apply(fromLeft)
  assert.deepEqual(
    [[...ours], [...theirs]],
    [
      [7, 0],
      [7, 0],
    ],
  )
  assert.equal(left.collect(), undefined)
  assert.equal(right.collect(), undefined)
  for (const added of [
    [1, 0, 1],
    [0, 2, 1],
    [0, -1, 1],
    [0, 0.5, 1],
  ])
    assert.throws(() => left.apply(added), RangeError)
})

test('memories are taken out of a value and put back where they were', () => {
  const [one, two] = [new SharedArrayBuffer(4), new SharedArrayBuffer(8)]
  const taken = takeMemories({ a: one, list: [{ b: two }, one], plain: 1, map: new Map([[1, 2]]) })
  assert.deepEqual(taken.memories, [one, two])
  const crossed = structuredClone(taken.value)
  putMemories(crossed, taken.places, [two, one])
  assert.deepEqual(crossed, { a: two, list: [{ b: one }, two], plain: 1, map: new Map([[1, 2]]) })
})

test('a process is granted what its components were, and no more', () => {
  const component = {
    allowedHosts: [],
    allowedIpNameLookups: [],
    allowedHostLoopbackPorts: [],
    preopens: [],
    bindings: [],
  } as unknown as Parameters<typeof grantsOf>[0][number]
  assert.deepEqual(grantsOf([component], false), { network: false, readable: [], writable: [] })
  assert.equal(grantsOf([component], true).network, true)
  for (const reach of ['allowedHosts', 'allowedIpNameLookups', 'allowedHostLoopbackPorts'])
    assert.equal(grantsOf([component, { ...component, [reach]: ['x'] }], false).network, true, reach)
  const volumes = [
    { hostPath: '/a', guestPath: '/x', readOnly: true },
    { hostPath: '/b', guestPath: '/y', readOnly: false },
  ]
  const grants = grantsOf([{ ...component, preopens: volumes }], false)
  assert.deepEqual(grants, {
    network: false,
    readable: ['/a', '/b', '/proc/self/fd/*'],
    writable: ['/b', '/proc/self/fd/*'],
  })
  assert.deepEqual(permissionFlags({ ...grants, network: true }), [
    '--permission',
    '--allow-worker',
    '--allow-net',
    `--allow-fs-read=${fileURLToPath(new URL('../../src/', import.meta.url))}`,
    '--allow-fs-read=/a',
    '--allow-fs-read=/b',
    '--allow-fs-read=/proc/self/fd/*',
    '--allow-fs-write=/b',
    '--allow-fs-write=/proc/self/fd/*',
  ])
})
